"""Bad input, end to end: exit code 2 and one clear line, or a run that is as good as it can be."""

import errno
import json
import random

import fits
import polars as pl
import pytest
import toy
from commands import metier, refused

from metier import run as folder
from metier.run import Run

ONE = {"sentiment": {"column": "sentiment"}}


@pytest.fixture
def flags(toy_backbone):
    """What every small fit is told."""
    return [
        "--backbone",
        toy_backbone,
        "--epochs",
        "1",
        "--batch-size",
        "16",
        "--threads",
        "1",
        "--learning-rate",
        "3e-3",
    ]


def table(path, labels, texts=None):
    rows = ["text,label", *(f"{(texts or str)(at)} Berlin gains,{label}" for at, label in enumerate(labels))]
    path.write_text("\n".join(rows) + "\n", encoding="utf-8")
    return path


def test_missing_file(tmp_path):
    assert "nowhere.csv" in refused("train", tmp_path / "nowhere.csv", "--label", "x")


def test_missing_column(toy_news, toy_run):
    assert "Did you mean 'sentiment'?" in refused("train", toy_news, "--label", "sentimnt")
    assert "Did you mean 'sentiment'?" in refused("train", toy_news, "--label", "place", "--split", "sentimen")
    assert "'txt'" in refused("predict", toy_run, toy_news, "--text", "txt")


@pytest.mark.parametrize(
    ("content", "message"),
    [("", "is empty"), ("text,label\n", "has no rows"), ("text,label\na b,\nc d,NaN\n", "none has both")],
)
def test_nothing_to_learn_from(tmp_path, flags, content, message):
    (tmp_path / "d.csv").write_text(content)
    assert message in refused("train", tmp_path / "d.csv", "--label", "label", "--out", tmp_path / "run", *flags)
    assert [item.name for item in tmp_path.iterdir()] == ["d.csv"], "nothing is left behind"


def test_one_class_only(tmp_path, flags):
    message = refused(
        "train", table(tmp_path / "d.csv", ["a"] * 20), "--label", "label", "--out", tmp_path / "r", *flags
    )
    assert "label" in message and "'a'" in message
    assert [item.name for item in tmp_path.iterdir()] == ["d.csv"]


def test_a_class_with_one_example(tmp_path, flags):
    data = table(tmp_path / "d.csv", ["a", "b"] * 20 + ["rare"])
    result = metier("train", data, "--label", "label", "--out", tmp_path / "run", "--json", *flags)
    assert result.code == 0 and result.json["heads"]["label"]["task"] == "classify"


def test_some_labels_are_missing(tmp_path, flags):
    data = table(tmp_path / "d.csv", ["a", "b", "", "NaN"] * 12)
    result = metier("train", data, "--label", "label", "--out", tmp_path / "run", *flags)
    assert result.code == 0
    found = json.loads((tmp_path / "run" / "labels.json").read_text())
    assert found["label"]["labels"] == ["a", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--method", "fulll"], "train.method"),
        (["--epochs", "-1"], "train.epochs"),
        (["--device", "abacus"], "no device 'abacus'"),
        (["--task", "clasify"], "Did you mean 'classify'?"),
        (["--backbone", "nobody/nothing"], "neither in the Hugging Face cache nor could the hub be asked"),
        (["--backbone", "./nowhere"], "There is no folder"),
        (["--max-length", "3"], "model.max_length"),
        (["--set", "heads.place.flor=0.5"], "Did you mean 'floor'?"),
        (["--set", "heads.plac.floor=0.5"], "Did you mean 'place'?"),
        (["--set", "augment.names=true", "--set", "heads.place.task='tag'"], "place"),
    ],
)
def test_a_fit_that_cannot_be(toy_news, tmp_path, arguments, message):
    assert message in refused("train", toy_news, "--label", "place", "--out", tmp_path / "run", *arguments)
    assert not list(tmp_path.iterdir())


def test_unknown_key_of_a_recipe(tmp_path, toy_news, toy_backbone):
    recipe = fits.recipe(tmp_path / "r.toml", toy_news, ONE, toy_backbone, epoch=3)
    assert "unknown key 'train.epoch'. Did you mean 'epochs'?" in refused("train", recipe)


@pytest.mark.parametrize("kept", [("config.json",), ("config.json", "pytorch_model.bin"), ("model.safetensors",)])
def test_a_backbone_without_safetensors_or_config(tmp_path, toy_news, toy_backbone, kept):
    folder = tmp_path / "backbone"
    folder.mkdir()
    for name in kept:
        source = toy_backbone / name
        (folder / name).write_bytes(source.read_bytes() if source.is_file() else b"\x80\x04pickle")
    message = refused("train", toy_news, "--label", "place", "--backbone", folder, "--out", tmp_path / "run")
    assert "no .safetensors file" in message or "no readable config.json" in message


def test_damaged_weights_of_a_backbone(tmp_path, toy_news, toy_backbone):
    folder = tmp_path / "backbone"
    folder.mkdir()
    for item in toy_backbone.iterdir():
        (folder / item.name).write_bytes(item.read_bytes())
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    message = refused("train", toy_news, "--label", "place", "--backbone", folder, "--out", tmp_path / "run")
    assert "cannot be read" in message


@pytest.fixture
def copied(toy_run, tmp_path):
    """A run that may be spoilt."""
    for item in toy_run.rglob("*"):
        if item.is_file():
            target = tmp_path / "run" / item.relative_to(toy_run)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(item.read_bytes())
    return tmp_path / "run"


@pytest.mark.parametrize("command", ["evaluate", "predict"])
def test_a_flipped_byte(copied, toy_news, command):
    file = copied / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    assert "model.safetensors has changed" in refused(command, copied, toy_news)


def test_a_missing_file_of_a_run(copied, toy_news):
    (copied / "tokenizer.json").unlink()
    assert "tokenizer.json is missing" in refused("predict", copied, toy_news)


def test_a_run_without_manifest(copied, toy_news):
    (copied / "manifest.json").unlink()
    assert "manifest.json, which is written last, is missing" in refused("predict", copied, toy_news)
    assert "no run" in refused("predict", copied.parent / "runn", toy_news)


def test_out_is_something_else(tmp_path, toy_news):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("x")
    assert "exists and is not a run" in refused("train", toy_news, "--label", "place", "--out", tmp_path / "mine")
    assert (tmp_path / "mine" / "file").read_text() == "x"


def test_nothing_to_predict(tmp_path, toy_run):
    (tmp_path / "d.csv").write_text("text\n")
    assert "no rows" in refused("predict", toy_run, tmp_path / "d.csv", "--out", tmp_path / "s.parquet")
    (tmp_path / "e.csv").write_text("text\na\n")
    assert "cannot be written" in refused("predict", toy_run, tmp_path / "e.csv", "--out", tmp_path / "s.xml")


@pytest.mark.parametrize("place", ["checkpoint", "weights", "report"])
def test_the_disk_is_full(tmp_path, monkeypatch, toy_news, toy_backbone, place):
    recipe = fits.recipe(tmp_path / "r.toml", toy_news, ONE, toy_backbone, epochs=1, checkpoint_seconds=0.0)
    out = tmp_path / "run"
    assert metier("train", recipe, "--out", out).code == 0
    before = Run.open(out).version
    name = {"checkpoint": "fit.safetensors", "weights": "model.safetensors", "report": "environment.json"}[place]
    write = folder.write_bytes

    def full(path, content):
        if path.name == name:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        write(path, content)

    monkeypatch.setattr(folder, "write_bytes", full)
    assert "No space left on device" in refused("train", recipe, "--out", out, "--seed", "99")
    assert Run.open(out).version == before
    monkeypatch.undo()
    assert metier("evaluate", out, toy_news).code == 0


def test_the_disk_is_full_anywhere_else(monkeypatch, toy_run, toy_news, tmp_path):
    def full(*_arguments, **_keywords):
        raise OSError(errno.ENOSPC, "No space left on device", "scored.parquet")

    monkeypatch.setattr("metier.predict.corpus.join", full)
    message = refused("predict", toy_run, toy_news, "--out", tmp_path / "s.parquet")
    assert "scored.parquet" in message and "free some disk space" in message


ODD = [
    "\U0001f680 to the moon \U0001f468‍\U0001f469‍\U0001f467",
    "שלום עולם gains",
    "مرحبا بالعالم falls",
    "a\x00b\x07c Berlin",
    "\ud83d lone \udc00 surrogates",
    "​‍﻿",
    "",
    "   ",
    "[SEP] [CLS] <s> {} %s \\",
    "e\u0301" * 40,
]


def test_odd_texts_are_learned_and_predicted(tmp_path, toy_backbone):
    rng = random.Random(1)
    rows = [{"text": f"{ODD[at % len(ODD)]} {rng.choice(toy.PLACES)} {at}", "label": "ab"[at % 2]} for at in range(60)]
    data = toy.lines(tmp_path / "d.jsonl", rows)  # json escapes what UTF-8 cannot hold
    recipe = fits.recipe(tmp_path / "r.toml", data, {"label": {"column": "label"}}, toy_backbone, epochs=1)
    assert metier("train", recipe, "--out", tmp_path / "run").code == 0
    corpus = toy.lines(tmp_path / "c.jsonl", [{"text": text} for text in ODD])
    for suffix in ("parquet", "jsonl", "csv"):
        result = metier("predict", tmp_path / "run", corpus, "--out", tmp_path / f"s.{suffix}", "--json")
        assert result.code == 0 and result.json["rows"] == len(ODD), result.err
    assert pl.read_parquet(tmp_path / "s.parquet")["label"].is_in(["a", "b"]).all()


def test_odd_texts_from_memory(toy_run):
    import metier as package

    found = package.load(toy_run).predict([*ODD, "x" * 5_000_000, "中" * 20_000])
    assert len(found) == len(ODD) + 2
    assert all(0 <= prediction.score <= 1 for row in found for prediction in row.values())


def test_a_text_of_five_megabytes(tmp_path, toy_backbone, toy_run):
    rows = [{"text": f"{toy.PLACES[at % 2]} {at}", "label": "ab"[at % 2]} for at in range(40)]
    rows[3]["text"] = "Berlin gains 7 " * 333_334
    data = toy.lines(tmp_path / "d.jsonl", rows)
    parts = {"label": {"column": "label"}}
    recipe = fits.recipe(tmp_path / "r.toml", data, parts, toy_backbone, epochs=1, batch_size=64)
    text = recipe.read_text().replace("[model]", '[model]\nlong = "truncate"')
    recipe.write_text(text)
    result = metier("train", recipe, "--out", tmp_path / "run")
    assert result.code == 0
    notes = json.loads((tmp_path / "run" / "evaluation.json").read_text())["heads"]["label"]["notes"]
    assert any(note["limit"] == 32 for note in notes)


def test_gb18030(tmp_path, toy_backbone):
    rng = random.Random(2)
    rows = [
        f"公司{'上涨' if at % 2 else '下跌'}北京{rng.choice(['股市', '利润', '市'])}{at},{'好' if at % 2 else '坏'}"
        for at in range(60)
    ]
    data = tmp_path / "d.csv"
    data.write_bytes(("text,label\n" + "\n".join(rows) + "\n").encode("gb18030"))
    recipe = fits.recipe(tmp_path / "r.toml", data, {"label": {"column": "label"}}, toy_backbone, epochs=3)
    result = metier("train", recipe, "--out", tmp_path / "run", "--json")
    assert result.code == 0 and result.json["heads"]["label"]["test"]["headline"]["value"] > 0.6
    assert metier("predict", tmp_path / "run", data, "--out", tmp_path / "s.jsonl").code == 0
    first = json.loads((tmp_path / "s.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["text"].startswith("公司下跌") and first["label"] in ("好", "坏")
