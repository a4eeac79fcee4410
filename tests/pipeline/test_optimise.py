"""A run made smaller, whole: through the gate, saved, loaded without torch, and refused where it got worse."""

import errno
import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
import torch
import toy
from safetensors.torch import load_file
from typer.testing import CliRunner

import metier
from metier.cli import app
from metier.errors import RecipeError, RunError
from metier.evaluate.findings import Findings
from metier.optimise import quantise as quantising
from metier.pipeline.optimise import compile as compiling
from metier.pipeline.optimise.gate import Gate
from metier.pipeline.optimise.halve import halved
from metier.pipeline.optimise.material import material
from metier.pipeline.optimise.optimise import optimise
from metier.pipeline.watch import Silent
from metier.predict import engines
from metier.recipe import Recipe
from metier.run import Run

TEXTS = ["Berlin gains record profit", "Oslo sinks, weak results", "Lima"]
FREE = {"tolerance": 100.0}


def files(path):
    return {file.name: file.read_bytes() for file in path.iterdir() if file.is_file()}


def apart(one, other):
    return max(abs(a[name].score - b[name].score) for a, b in zip(one, other, strict=True) for name in a)


@pytest.fixture(scope="module")
def small(toy_run, tmp_path_factory):
    out = tmp_path_factory.mktemp("small") / "run"
    optimise(toy_run, out, FREE, Silent(), threads=1)
    return out


def test_a_graph_says_what_the_network_says(toy_run, tmp_path):
    before = files(toy_run)
    made = optimise(toy_run, tmp_path / "run", {"precision": "fp32"}, Silent(), threads=1)
    assert files(toy_run) == before
    assert made.manifest["parent"] == Run.open(toy_run).version
    assert not (made.path / "model.safetensors").exists() and not (made.path / "float.onnx").exists()
    first, second = (metier.load(path, threads=1).predict(TEXTS) for path in (toy_run, made.path))
    assert [{name: one.label for name, one in row.items()} for row in first] == [
        {name: one.label for name, one in row.items()} for row in second
    ]
    assert apart(first, second) < 1e-3


def test_eight_bits(small, toy_run):
    model = onnx.load(small / "model.onnx")
    kinds = {node.op_type for node in model.graph.node}
    assert kinds & {"MatMulInteger", "DynamicQuantizeLinear", "QuantizeLinear"}
    first, second = (metier.load(path, threads=1).predict(TEXTS) for path in (toy_run, small))
    assert 0 < apart(first, second) < 0.2
    steps = Findings.read(small / "evaluation.json").optimised["steps"]
    assert [step["step"] for step in steps] == ["int8"] and set(steps[0]["heads"]) == {"sentiment", "place"}
    assert steps[0]["heads"]["sentiment"]["texts"] == 48
    assert "Made smaller" in (small / "report.html").read_text()


def test_the_base_install_is_enough(small):
    said = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("torch", "transformers", "onnx", "peft", "polars", "pyarrow", "scipy", "sklearn"):
            raise ModuleNotFoundError(name, name=name)
import metier
sys.meta_path.insert(0, Blocked())
import metier.serve.server
model = metier.load({str(small)!r}, threads=1)
print(model.predict({TEXTS!r})[0]["sentiment"].label, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [metier.load(small, threads=1).predict(TEXTS)[0]["sentiment"].label, "False"]


def test_many_texts_and_one_say_the_same(small):
    model = metier.load(small, threads=1)
    texts = [f"{place} {word}" for place in toy.PLACES for word in toy.GOOD + toy.BAD] * 3
    together, alone = model.predict(texts), [model.predict([text])[0] for text in texts[:20]]
    assert apart(together[:20], alone) < 0.05  # a dynamic graph has the scales of its batch


def test_what_got_worse_is_refused_and_nothing_is_left(toy_run, tmp_path, monkeypatch):
    real = quantising.quantise

    def spoil(source, target, texts, **how):
        real(source, target, texts, **how)
        if "layer 1" in how.get("spare", ()):
            return
        model = onnx.load(target)
        for tensor in model.graph.initializer:
            if "heads" in tensor.name and tensor.data_type == 1 and len(tensor.dims) == 1:
                array = onnx.numpy_helper.to_array(tensor)
                tensor.CopyFrom(
                    onnx.numpy_helper.from_array(array - np.arange(len(array), dtype=np.float32) * 50, tensor.name)
                )
        onnx.save(model, target)

    monkeypatch.setattr(compiling, "quantise", spoil)
    monkeypatch.setattr(quantising, "quantise", spoil)
    before = files(toy_run)
    with pytest.raises(
        RunError, match=r"int8 costs the head '\w+' [\d.]+ points on 48 .*at most 0.5.*comes from layer 1"
    ):
        optimise(toy_run, tmp_path / "run", {"activations": "dynamic", "smooth": False}, Silent(), threads=1)
    assert not (tmp_path / "run").exists() and not (tmp_path / "run.partial").exists() and files(toy_run) == before
    mixed = {"activations": "dynamic", "smooth": False, "mixed": True}
    made = optimise(toy_run, tmp_path / "run", mixed, Silent(), threads=1)
    steps = made.json("evaluation.json")["optimised"]["steps"]
    assert [step["passed"] for step in steps] == [False, True] and steps[-1]["facts"]["spared"] == ["layer 1"]
    assert [file.name for file in made.path.glob("*.onnx")] == ["model.onnx"]


def test_layers_units_and_words_go_before_the_graph(toy_run, tmp_path):
    asked = {"layers": 1, "units": 0.5, "vocabulary": True, "recover": 1.0, "precision": "fp32", **FREE}
    made = optimise(toy_run, tmp_path / "run", asked, Silent(), threads=1)
    steps = made.json("evaluation.json")["optimised"]["steps"]
    assert [step["step"] for step in steps] == ["1 layers", "heads and units", "vocabulary", "graph"]
    assert steps[1]["facts"]["parameters"][1] < steps[1]["facts"]["parameters"][0] and "recovered" in steps[1]["facts"]
    assert len(metier.load(made.path, threads=1).predict(TEXTS)) == 3


@pytest.mark.parametrize("student", ["layers", "static"])
def test_students(toy_run, tmp_path, student):
    made = optimise(toy_run, tmp_path / "run", {"student": student, "precision": "fp32", **FREE}, Silent(), threads=1)
    said = metier.load(made.path, threads=1).predict(TEXTS)
    assert {name for row in said for name in row} == {"sentiment", "place"}
    assert made.json("evaluation.json")["optimised"]["steps"][0]["step"] in ("student", "static student")


def test_a_thin_student_is_thin_before_it_learns(toy_run, tmp_path):
    asked = {"student": "layers", "layers": 1, "units": 0.5, "heads": 0.5, "precision": "fp32", **FREE}
    made = optimise(toy_run, tmp_path / "run", asked, Silent(), threads=1)
    whole = optimise(toy_run, tmp_path / "whole", {**asked, "units": 0.0, "heads": 0.0}, Silent(), threads=1)
    assert [step["step"] for step in made.json("evaluation.json")["optimised"]["steps"]] == ["student", "graph"]
    assert (made.path / "model.onnx").stat().st_size < (whole.path / "model.onnx").stat().st_size
    assert len(metier.load(made.path, threads=1).predict(TEXTS)) == len(TEXTS)


@pytest.mark.parametrize("student", ["layers", "static"])
def test_a_student_hears_of_changed_texts(toy_run, tmp_path, student):
    steps = []
    for changed in (0, 2):
        asked = {"student": student, "changed": changed, "precision": "fp32", **FREE}
        made = optimise(toy_run, tmp_path / str(changed), asked, Silent(), threads=1)
        steps.append(made.json("evaluation.json")["optimised"]["steps"][0]["facts"]["steps"])
    assert steps[1] > 1.5 * steps[0]  # the same passes over three times the texts, or as many as are allowed


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"engines": ("tensorrt",)}, "tensorrt"),
        ({"mixed": True, "precision": "fp32"}, "mixed keeps parts"),
        ({"student": "static", "layers": 1}, "A static student has no layers"),
        ({"layers": 7}, "7 layers cannot be left"),
        ({"precison": "int8"}, "precision"),
        ({"tolerance": -1.0}, "tolerance"),
    ],
)
def test_what_cannot_be_done(toy_run, tmp_path, asked, said):
    with pytest.raises((RecipeError, RunError), match=said):
        optimise(toy_run, tmp_path / "run", asked, Silent(), threads=1)
    assert not list(tmp_path.iterdir())


def test_onto_itself_and_of_a_graph(toy_run, small, tmp_path):
    with pytest.raises(RunError, match="take the place"):
        optimise(toy_run, toy_run, {}, Silent())
    with pytest.raises(RunError, match="made smaller already"):
        optimise(small, tmp_path / "run", {}, Silent())


def test_a_graph_that_was_cut_short(small, tmp_path):
    broken = shutil.copytree(small, tmp_path / "run")
    (broken / "model.onnx").write_bytes((small / "model.onnx").read_bytes()[:5000])
    with pytest.raises(RunError, match="model.onnx has changed"):
        metier.load(broken)
    manifest = json.loads((broken / "manifest.json").read_text())
    import hashlib

    manifest["files"]["model.onnx"] = hashlib.sha256((broken / "model.onnx").read_bytes()).hexdigest()
    (broken / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(RunError, match="cannot be loaded"):
        metier.load(broken, threads=1)


def test_an_engine_that_is_not_installed(small, monkeypatch):
    from metier.predict import engines

    for engine in engines.ENGINES.values():
        monkeypatch.setattr(engine, "here", classmethod(lambda cls: False))
    with pytest.raises(RunError, match="not installed"):
        metier.load(small)


def test_the_choice_is_remembered(small, tmp_path, monkeypatch):
    from metier.predict import choice

    monkeypatch.setenv("METIER_CACHE", str(tmp_path))
    real, asked = choice.measured, []
    monkeypatch.setattr(choice, "measured", lambda *given: asked.append(1) or real(*given))
    metier.load(small, threads=1)
    first = list((tmp_path / "engines").iterdir())
    metier.load(small, threads=1)
    assert len(asked) == 1 and len(first) == 1
    first[0].write_text("{")
    metier.load(small, threads=1)
    assert len(asked) == 2


def test_a_choice_that_cannot_be_remembered(tmp_path, monkeypatch):
    from metier.predict import choice, measure

    (tmp_path / "file").touch()
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "file" / "below"))
    entry = measure.Entry("onnxruntime", "model.onnx")
    found = choice.Choice(entry, entry, 1024, {})
    monkeypatch.setattr(choice, "measured", lambda *given: found)
    assert choice.choose([entry], tmp_path, measure.Shape(10, 4, {}), "version", 1) is found


def test_heads_of_every_kind(tmp_path, toy_backbone):
    data = toy.cities(tmp_path / "cities")
    settings = {"epochs": 2, "batch_size": 8, "max_length": 32, "threads": 1, "baselines": False, "suspects": False}
    run = metier.train(data, out=tmp_path / "run", backbone=str(toy_backbone), **settings).run
    made = optimise(run, tmp_path / "small", {"precision": "fp32"}, Silent(), threads=1)
    first, second = (metier.load(path, threads=1).predict(["shares in Berlin fell"]) for path in (run, made.path))
    assert [item.label for item in first[0].values()] == [item.label for item in second[0].values()]


def test_what_was_cut_off_goes_on(toy_run, tmp_path, monkeypatch):
    from metier.pipeline.optimise import optimise as making

    asked = {"student": "layers", "precision": "fp32", **FREE}
    whole = optimise(toy_run, tmp_path / "whole", asked, Silent(), threads=1)

    def die(*given):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(making, "compiled", die)
        with pytest.raises(KeyboardInterrupt):
            optimise(toy_run, tmp_path / "run", asked, Silent(), threads=1)
    assert (tmp_path / "run.partial").is_dir()
    fits = []
    real = making.distil.descend
    monkeypatch.setattr(making.distil, "descend", lambda *given: fits.append(1) or real(*given))
    made = optimise(toy_run, tmp_path / "run", asked, Silent(), threads=1)
    assert not fits and not (made.path / "optimise.json").exists() and not (made.path / "checkpoint").exists()
    first, second = (metier.load(path, threads=1).predict(TEXTS) for path in (whole.path, made.path))
    assert apart(first, second) == 0.0
    other = {"precision": "fp32", **FREE}
    (tmp_path / "other.partial").mkdir()
    (tmp_path / "other.partial" / "optimise.json").write_text("{}")
    assert optimise(toy_run, tmp_path / "other", other, Silent(), threads=1).path.is_dir()


def test_cut_off_before_it_is_sealed(toy_run, tmp_path, monkeypatch):
    from metier.pipeline.optimise import optimise as making

    def die(*given):
        raise KeyboardInterrupt

    asked = {"student": "layers", "precision": "bf16", **FREE}
    with monkeypatch.context() as patch:
        patch.setattr(making.folder, "seal", die)
        with pytest.raises(KeyboardInterrupt):
            optimise(toy_run, tmp_path / "run", asked, Silent(), threads=1)
    assert (tmp_path / "run.partial").is_dir()
    made = optimise(toy_run, tmp_path / "run", asked, Silent(), threads=1)
    assert not (made.path / "optimise.json").exists() and not (made.path / "checkpoint").exists()


@pytest.mark.parametrize("full", ["optimise.json", "labels.json"])
def test_a_disk_that_is_full_leaves_nothing(toy_run, tmp_path, monkeypatch, full):
    from metier.pipeline.optimise import optimise as making

    real = making.folder.write_bytes

    def write(path, content):
        if path.name == full:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        real(path, content)

    before = files(toy_run)
    monkeypatch.setattr(making.folder, "write_bytes", write)
    with pytest.raises(RunError, match="could not be saved .*No space left on device.*free some disk space"):
        optimise(toy_run, tmp_path / "run", {"precision": "bf16"}, Silent(), threads=1)
    assert not list(tmp_path.iterdir()) and files(toy_run) == before


def test_a_disk_that_is_full_after_a_fit(toy_run, tmp_path, monkeypatch):
    from metier.pipeline.optimise import optimise as making

    def save(*given):
        raise OSError(errno.ENOSPC, "No space left on device")

    asked = {"student": "layers", "precision": "bf16", **FREE}
    with monkeypatch.context() as patch:
        patch.setattr(making, "save", save)
        with pytest.raises(RunError, match="the same command goes on after the fit"):
            optimise(toy_run, tmp_path / "run", asked, Silent(), threads=1)
    fits, real = [], making.distil.descend
    monkeypatch.setattr(making.distil, "descend", lambda *given: fits.append(1) or real(*given))
    assert optimise(toy_run, tmp_path / "run", asked, Silent(), threads=1).path.is_dir() and not fits


def test_what_is_no_number_is_refused_whatever_the_tolerance(toy_run):
    prepared = material(Run.open(toy_run), None, Silent(), device="cpu", threads=1)
    gate = Gate.of(prepared, 1_000.0, Silent())
    with torch.no_grad():
        next(iter(prepared.network.heads.parameters())).fill_(float("nan"))
    with pytest.raises(RunError, match="answers what is no number"):
        gate.require("fp16", prepared.runtime, {}, "another")


def test_the_seed_that_was_asked_for(toy_run, tmp_path, monkeypatch):
    from metier.pipeline.optimise import recover

    real, seeds = recover.seeded, []
    monkeypatch.setattr(recover, "seeded", lambda seed: seeds.append(seed) or real(seed))
    asked = ["--layers", "1", "--set", "recover=0.1", "--precision", "fp32", "--tolerance", "100", "--threads", "1"]
    out = tmp_path / "run"
    done = CliRunner().invoke(app, ["optimise", str(toy_run), "--out", str(out), *asked, "--seed", "99"])
    assert done.exit_code == 0, done.output
    assert seeds == [99] and Recipe.read(out / "recipe.toml").seed == 99
    assert Recipe.read(toy_run / "recipe.toml").seed != 99


@pytest.mark.parametrize("precision", ["fp16", "bf16"])
def test_sixteen_bits(toy_run, tmp_path, precision):
    before = files(toy_run)
    made = optimise(toy_run, tmp_path / "run", {"precision": precision}, Silent(), threads=1)
    assert files(toy_run) == before
    kinds = {tensor.dtype for tensor in load_file(made.path / "model.safetensors").values()}
    assert kinds == {{"fp16": torch.float16, "bf16": torch.bfloat16}[precision]}
    assert (made.path / "model.safetensors").stat().st_size < 0.6 * len(before["model.safetensors"])
    step = made.json("evaluation.json")["optimised"]["steps"][-1]
    assert step["step"] == precision and step["passed"]
    assert 0 < max(head["difference"] for head in step["heads"].values()) < 0.1
    first, second = (metier.load(path, threads=1).predict(TEXTS) for path in (toy_run, made.path))
    assert 0 < apart(first, second) < 0.05


def test_a_weight_that_sixteen_bits_cannot_hold(toy_run, tmp_path):
    copy = tmp_path / "copy"
    prepared = material(Run.open(toy_run), None, Silent(), device="cpu", threads=1)
    with torch.no_grad():
        next(iter(prepared.network.heads.parameters())).fill_(1e6)
    gate = Gate.of(prepared, 100.0, Silent())
    with pytest.raises(RunError, match="too large for fp16.*bf16"):
        halved(prepared, "fp16", gate, copy)


@pytest.mark.parametrize(
    "wish",
    [
        {"student": "static", "mixed": True},
        {"student": "static", "activations": "static"},
        {"student": "static", "precision": "bf16"},
        {"precision": "fp16", "engines": ["onnxruntime"]},
        {"precision": "bf16", "smooth": True},
    ],
)
def test_wishes_that_exclude_each_other(toy_run, tmp_path, wish):
    with pytest.raises(RecipeError, match="static student|for torch on a GPU"):
        optimise(toy_run, tmp_path / "run", wish, Silent(), threads=1)
    assert not list(tmp_path.iterdir())


class Broken(engines.Engine):
    """A library that is installed and cannot be imported."""

    name, package = "broken", "onnxruntime"

    def _load(self):
        raise ImportError("libbroken.so: no such file")

    def _compute(self, feed):
        raise NotImplementedError


class Lacking(Broken):
    """A library that loads every graph, and lacks one of its operators."""

    def _load(self):
        return ["ids"], ["label"]

    def _compute(self, feed):
        raise ValueError("no kernel for Attention(23)\nand more")


@pytest.mark.parametrize(
    ("kind", "said"),
    [(Broken, "loaded by broken: libbroken.so: no such file"), (Lacking, r"computed by broken: no kernel .*23\)\.")],
)
def test_an_engine_that_does_not_work_is_left_out(small, monkeypatch, caplog, kind, said):
    from metier.predict import choice, measure

    monkeypatch.setitem(engines.ENGINES, "broken", kind)
    monkeypatch.setattr(choice, "SECONDS", 0.1)
    saved = json.loads((small / "runtimes.json").read_text())
    shape = measure.Shape(saved["vocabulary"], saved["length"], saved["inputs"])
    broken, works = measure.Entry("broken", "model.onnx"), measure.Entry("onnxruntime", "model.onnx")
    found = choice.measured([broken, works], small, shape, 1)
    assert (found.few, found.many) == (works, works)
    assert re.search(f"cannot be {said}", caplog.text)
    with pytest.raises(RunError, match=f"cannot be {said}"):
        choice.measured([broken], small, shape, 1)


def test_the_version_of_an_engine_that_another_package_brings(monkeypatch):
    def version(package):
        if package == "onnxruntime":
            raise engines.PackageNotFoundError(package)
        return "1.2"

    monkeypatch.setattr(engines, "version", version)
    monkeypatch.setattr(engines, "packages_distributions", lambda: {"onnxruntime": ["onnxruntime-gpu"]})
    assert engines.OnnxRuntime.version() == "onnxruntime-gpu 1.2"


def test_engines_are_measured_apart(small, monkeypatch):
    """What is measured stays out of this process: here no engine can be loaded, and the figures are there."""
    from metier.predict import measure

    saved = json.loads((small / "runtimes.json").read_text())
    shape = measure.Shape(saved["vocabulary"], saved["length"], saved["inputs"])
    monkeypatch.setattr(measure, "ENGINES", {})
    alone, together = measure.apart(measure.Entry("onnxruntime", "model.onnx"), small, shape, 1, 0.05)
    assert alone > 0
    assert set(together) == set(measure.TOKENS)
    with pytest.raises(RunError, match=r"none\.onnx cannot be loaded by onnxruntime"):
        measure.apart(measure.Entry("onnxruntime", "none.onnx"), small, shape, 1, 0.05)


def test_an_engine_that_ends_its_process_is_told(small, monkeypatch):
    from metier.predict import measure

    ended = subprocess.CompletedProcess([], -signal.SIGILL, "", "")
    monkeypatch.setattr(measure.subprocess, "run", lambda *given, **how: ended)
    with pytest.raises(RunError, match="onnxruntime: it ended its process with SIGILL"):
        measure.apart(measure.Entry("onnxruntime", "model.onnx"), small, measure.Shape(9, 4, {}), 1, 0.05)
