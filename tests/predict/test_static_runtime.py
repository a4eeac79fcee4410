"""A static student answering without torch: the same as torch says, the same after loading, whatever the length."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file

import metier
from metier import run as folder
from metier.errors import RunError
from metier.models.bags import Bags
from metier.models.machine import Machine
from metier.models.network import Network
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.optimise.static import Plan, Static, arrays
from metier.pipeline.optimise.static import save_static
from metier.predict import static_runtime
from metier.predict.static_runtime import StaticRuntime, endless, read, write
from metier.predict.torch_runtime import TorchRuntime
from metier.recipe import Recipe
from metier.tasks import build
from metier.types import Document

TASKS = {"mood": ("classify", ["a", "b", "c"]), "topics": ("multilabel", [("x", "y")]), "grade": ("score", [1.0, 3.0])}
TEXTS = ["Berlin gains record profit", "Oslo", "", "shares falls and weak results in Lima " * 40, "12,5 - <b>", "loss"]
DOCUMENTS = [Document(text) for text in TEXTS]


@pytest.fixture(scope="module")
def tokeniser(toy_backbone):
    return Tokeniser.read(toy_backbone / "tokenizer.json", max_length=16, stride=4)


def network_of(tokeniser, heads=tuple(TASKS), hidden=8, buckets=64):
    """A static student with weights drawn at random, and its runtime."""
    torch.manual_seed(3)
    tasks = {name: build(*TASKS[name]) for name in heads}
    size = tokeniser.tokenizer.get_vocab_size()
    around = tuple(tokeniser.layout.before.tolist() + tokeniser.layout.after.tolist())
    encoder = Static(Plan(12, buckets, hidden, 0.1), Bags(size, buckets, around))
    network = Network(encoder, tasks, pooling="cls")
    for weight in network.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    with torch.no_grad():
        encoder.words.weight.copy_(encoder.words.weight.half().float())
    return network.eval()


def runtime_of(network, tokeniser, floors=None):
    return StaticRuntime(network.tasks, tokeniser, floors or {}, network.encoder.bags, arrays(network))


@pytest.mark.parametrize("hidden", [0, 8])
@pytest.mark.parametrize("buckets", [0, 64])
def test_as_torch_says(hidden, buckets, tokeniser):
    network = network_of(tokeniser, hidden=hidden, buckets=buckets)
    found = runtime_of(network, tokeniser)
    slow = TorchRuntime(network, endless(tokeniser), Machine(torch.device("cpu"), torch.float32, 1), {})
    table = Table.of(DOCUMENTS, slow.tokeniser, slow.tasks)
    ticks = []
    said, wanted = found.logits(table, tick=ticks.append), slow.logits(table)
    for name in TASKS:
        np.testing.assert_allclose(np.stack(said[name]), np.stack(wanted[name]), rtol=1e-3, atol=1e-4)
        assert said[name][0].dtype == np.float32
    assert sum(ticks) == len(DOCUMENTS)
    for one, other in zip(found.predict(DOCUMENTS), slow.predict(DOCUMENTS), strict=True):
        assert list(one) == list(other) == list(TASKS)
        assert one["mood"].label == other["mood"].label and one["topics"].label == other["topics"].label
        assert one["mood"].probabilities == pytest.approx(other["mood"].probabilities, abs=1e-4)
        assert one["grade"].label == pytest.approx(other["grade"].label, abs=1e-3)


def test_a_long_text_has_no_windows(tokeniser):
    found = runtime_of(network_of(tokeniser), tokeniser)
    table = Table.of(DOCUMENTS, tokeniser, found.tasks)
    assert len(table.rows) > len(DOCUMENTS)
    cut = Table.of(DOCUMENTS, Tokeniser(tokeniser.tokenizer, max_length=16, window=False), found.tasks)
    assert len(cut.rows) == len(DOCUMENTS) and cut.rows.truncated == 1
    whole = found.logits(Table.of(DOCUMENTS, found.tokeniser, found.tasks))
    for name in TASKS:
        for other in (table, cut):
            np.testing.assert_array_equal(np.stack(found.logits(other)[name]), np.stack(whole[name]))


def test_pairs(tokeniser):
    network = network_of(tokeniser)
    found = runtime_of(network, tokeniser)
    documents = [Document("Berlin gains", "Oslo falls"), Document("loss", ""), Document("", "weak results today")]
    slow = TorchRuntime(network, endless(tokeniser), Machine(torch.device("cpu"), torch.float32, 1), {})
    wanted = slow.logits(Table.of(documents, slow.tokeniser, slow.tasks))
    said = [row["mood"].probabilities for row in found.predict(documents)]
    for one, row in zip(said, wanted["mood"], strict=True):
        soft = torch.tensor(row).softmax(-1)
        assert list(one.values()) == pytest.approx(soft.tolist(), abs=1e-4)
    lone, turned = found.predict([Document("Berlin gains Oslo falls"), Document("Oslo falls", "Berlin gains")])
    assert turned["mood"].probabilities == pytest.approx(
        said[0], rel=1e-5
    )  # no pair of tokens reaches over the two texts
    assert lone["mood"].probabilities != pytest.approx(said[0])


def test_blocks_heads_floors_and_nothing(tokeniser, monkeypatch):
    network = network_of(tokeniser)
    found = runtime_of(network, tokeniser, {"mood": 1.0})
    whole = found.predict(DOCUMENTS)
    monkeypatch.setattr(static_runtime, "BLOCK", 2)
    for row, other in zip(found.predict(DOCUMENTS), whole, strict=True):
        assert row["mood"].probabilities == pytest.approx(other["mood"].probabilities, abs=1e-6)
        assert row["mood"].abstain and not row["topics"].abstain
    assert found.predict(DOCUMENTS[:3], ["grade"]) == [{"grade": row["grade"]} for row in found.predict(DOCUMENTS[:3])]
    assert found.predict([]) == [] and found.logits(Table.of([], found.tokeniser, found.tasks)) == {
        n: [] for n in TASKS
    }
    (odd,) = found.predict([Document("half of a \ud83d pair")])
    assert odd == found.predict([Document("half of a ? pair")])[0]
    assert found.describe()["engine"] == "static"


# -- on disk -----------------------------------------------------------------------------------------------------
def run_of(path, network, tokeniser):
    """A run with nothing in it but what answers."""
    staged = folder.stage(path)
    heads = {name: {"column": name, "task": task.kind, "floor": 0.1} for name, task in network.tasks.items()}
    Recipe.parse({"data": {"text": ["text"]}, "heads": heads, "model": {"max_length": 16}}).write(
        staged / folder.RECIPE
    )
    save_static(runtime_of(network, tokeniser), staged)
    return folder.seal(path, {"metier": "0"})


def test_the_same_bits_after_loading(tmp_path, tokeniser):
    network = network_of(tokeniser)
    network.tasks["mood"].temperature = 2.5
    before = runtime_of(network, tokeniser, dict.fromkeys(TASKS, 0.1))
    run = run_of(tmp_path / "run", network, tokeniser)
    assert json.loads((run.path / "runtimes.json").read_text())["engines"][0]["engine"] == "static"
    model = metier.load(run.path)
    assert isinstance(model.runtime, StaticRuntime) and model.predict(TEXTS) == before.predict(DOCUMENTS)
    assert write(model.runtime) == write(before) == (run.path / "static.safetensors").read_bytes()
    with pytest.raises(RunError, match="processor alone"):
        metier.load(run.path, device="cuda")


BLOCKED = """
import importlib.abc, json, sys

class Blocked(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] == "torch":
            frame, callers = sys._getframe(1), []
            while frame is not None:
                callers.append(frame.f_globals.get("__name__", ""))
                frame = frame.f_back
            if any(caller.startswith("metier") for caller in callers):
                raise ImportError("torch is not to be had")
        return None

sys.meta_path.insert(0, Blocked())
import metier
said = metier.load(sys.argv[1]).predict(json.loads(sys.argv[2]))
sys.stdout.write(json.dumps([[row["mood"].label, row["mood"].score] for row in said]))
assert "torch" not in sys.modules
"""


def test_without_torch(tmp_path, tokeniser):
    run = run_of(tmp_path / "run", network_of(tokeniser), tokeniser)
    command = [sys.executable, "-c", BLOCKED, str(run.path), json.dumps(TEXTS)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    wanted = [[row["mood"].label, row["mood"].score] for row in metier.load(run.path).predict(TEXTS)]
    assert json.loads(done.stdout) == wanted


@pytest.mark.parametrize("what", ["cut", "other", "bare"])
def test_a_damaged_table(what, tmp_path, tokeniser):
    network = network_of(tokeniser)
    file = tmp_path / "static.safetensors"
    file.write_bytes(write(runtime_of(network, tokeniser)))
    if what == "cut":
        file.write_bytes(file.read_bytes()[:-100])
    elif what == "other":
        own = replace(network.encoder.bags, buckets=3)
        file.write_bytes(write(StaticRuntime(network.tasks, tokeniser, {}, own, arrays(network))))
    else:
        save_file(load_file(file), file)
    with pytest.raises(RunError, match=r"static.safetensors does not fit the run"):
        read(file, network.tasks, tokeniser, {})
