"""The command line: one line of JSON at the end, exit codes, and what each command leaves behind."""

import json
import subprocess
import sys
from pathlib import Path

import fits
import polars as pl
import pytest
import toy
from commands import metier, refused

from metier import cli


@pytest.fixture(scope="module")
def quick(tmp_path_factory, toy_backbone, toy_news) -> Path:
    """A recipe with two heads that is fitted in a moment."""
    heads = {"sentiment": {"column": "sentiment"}, "place": {"column": "place"}}
    return fits.recipe(tmp_path_factory.mktemp("quick") / "r.toml", toy_news, heads, toy_backbone, epochs=2)


def test_train(quick, tmp_path):
    result = metier("train", quick, "--out", tmp_path / "run", "--seed", 3, "--json")
    assert result.code == 0 and len(result.out.splitlines()) == 1
    found = result.json
    assert set(found) == {"run", "heads", "seconds"}
    assert found["run"] == str(tmp_path / "run") and found["seconds"] > 0
    assert set(found["heads"]) == {"sentiment", "place"}
    for head in found["heads"].values():
        assert set(head) == {"task", "valid", "test"} and head["task"] == "classify"
        for figures in (head["valid"], head["test"]):
            line = figures["headline"]
            assert line["name"] == "accuracy" and line["interval"][0] <= line["value"] <= line["interval"][1]
            assert figures["macro avg"]["f1-score"] >= 0 and figures["per_class"]
    assert "on this machine" in result.err, "an estimate of the time comes before the fit"
    for name in ("model.safetensors", "tokenizer.json", "labels.json", "recipe.toml", "metrics.jsonl", "report.html"):
        assert (tmp_path / "run" / name).is_file()
    assert "seed = 3" in (tmp_path / "run" / "recipe.toml").read_text()


def test_the_same_seed_gives_the_same_weights_and_another_gives_others(quick, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        assert metier("train", quick, "--out", tmp_path / name, "--seed", seed).code == 0
    weights = [fits.weights(tmp_path / name) for name in "abc"]
    assert weights[0] == weights[1] != weights[2]


def test_train_from_flags_alone(tmp_path, toy_backbone, toy_news, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = metier("train", toy_news, "--label", "place", "--backbone", toy_backbone, "--epochs", 1, "--threads", 1)
    assert result.code == 0 and "place" in result.out and "report" in result.out
    (path,) = (tmp_path / "runs").iterdir()
    assert path.name.startswith("news-") and "accuracy" in metier("runs").out


def test_seeds(quick, tmp_path):
    result = metier("train", quick, "--out", tmp_path / "runs", "--seeds", 2, "--seed", 5, "--json")
    assert result.code == 0
    found = result.json
    line = found["heads"]["place"]["test"]["headline"]
    assert line["name"] == "accuracy" and {"value", "sd"} <= set(line)
    assert [entry["seed"] for entry in found["seeds"]] == [5, 6]
    values = [entry["heads"]["place"]["test"]["headline"]["value"] for entry in found["seeds"]]
    assert line["value"] == pytest.approx(sum(values) / 2)
    assert line["sd"] == pytest.approx(abs(values[0] - values[1]) / 2**0.5)
    assert all(Path(entry["run"]).is_dir() for entry in found["seeds"])


def test_evaluate(toy_run, toy_news):
    found = metier("evaluate", toy_run, toy_news, "--json").json
    assert set(found) == {"heads"} and set(found["heads"]) == {"sentiment", "place"}
    line = found["heads"]["place"]["test"]["headline"]
    assert line["value"] > 0.6 and len(line["interval"]) == 2
    assert found["heads"]["place"]["test"]["documents"] == 24
    train = metier("evaluate", toy_run, toy_news, "--split", "train", "--json").json
    assert train["heads"]["place"]["train"]["documents"] == 72


def test_evaluate_agrees_with_the_fit(toy_run, toy_news):
    said = json.loads((toy_run / "evaluation.json").read_text())["heads"]["place"]["test"]["headline"]
    assert metier("evaluate", toy_run, toy_news, "--json").json["heads"]["place"]["test"]["headline"] == said


def test_doctor(tmp_path, toy_backbone):
    data = toy.lines(tmp_path / "d.jsonl", [{"text": "same", "label": str(at % 2)} for at in range(8)])
    result = metier("doctor", data, "--label", "label", "--backbone", toy_backbone, "--json")
    assert result.code == 0 and json.loads(result.out.splitlines()[-1])
    assert "same" in result.err


def test_runs(toy_run):
    found = metier("runs", "--folder", toy_run.parent, "--json").json["runs"]
    line = next(line for line in found if line["run"] == str(toy_run))
    assert line["state"] == "whole" and line["method"] == "full" and set(line["heads"]) == {"sentiment", "place"}
    assert metier("runs", "--folder", toy_run / "none", "--json").json == {"runs": []}


def test_runs_compare(toy_run, quick, tmp_path):
    assert metier("train", quick, "--out", tmp_path / "b", "--json").code == 0
    found = metier("runs", "compare", toy_run, tmp_path / "b", "--json").json
    assert (found["a"], found["b"]) == (str(toy_run), str(tmp_path / "b"))
    line = found["heads"]["place"]
    assert line["texts"] == 24 and line["difference"] == pytest.approx(line["a"] - line["b"])
    assert 0 <= line["p_value"] <= 1 and line["interval"][0] <= line["difference"] <= line["interval"][1]
    same = metier("runs", "compare", toy_run, toy_run, "--json").json["heads"]["place"]
    assert same["difference"] == 0 and same["p_value"] > 0.9


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_predict(toy_run, toy_news, tmp_path, suffix):
    out = tmp_path / f"scored{suffix}"
    result = metier("predict", toy_run, toy_news, "--out", out, "--json")
    assert result.code == 0 and set(result.json) == {"rows", "out", "seconds"}
    assert (result.json["rows"], result.json["out"]) == (120, str(out))
    read = {".parquet": pl.read_parquet, ".csv": pl.read_csv, ".jsonl": pl.read_ndjson}[suffix]
    frame, before = read(out), pl.read_csv(toy_news)
    assert frame["text"].to_list() == before["text"].to_list()
    assert frame["split"].to_list() == before["split"].to_list()
    for head in ("sentiment", "place"):
        assert frame[f"{head}_input"].to_list() == before[head].to_list()
        assert frame[f"{head}_score"].is_between(0, 1).all() and frame[f"{head}_abstain"].dtype == pl.Boolean
    assert (frame["place"] == frame["place_input"]).mean() > 0.7


def test_help_of_every_command():
    for command in ("train", "evaluate", "predict", "doctor", "serve", "runs"):
        result = metier(command, "--help")
        assert result.code == 0 and "--json" in result.out and "--seed" in result.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--nope"], "--nope"),
        (["trian"], "trian"),
        (["train", "x.csv", "--epochs", "many"], "--epochs"),
        (["predict"], "RUN"),
        (["train"], "Nothing to train on"),
        (["train", "x.toml"], "There is no recipe x.toml"),
    ],
)
def test_mistaken_usage(arguments, message):
    assert message.lower() in refused(*arguments).lower()


def test_a_fault_of_ours_is_no_mistake_of_the_user(monkeypatch, toy_run):
    def broken(*_arguments, **_keywords):
        raise RuntimeError("a bug")

    monkeypatch.setattr("metier.pipeline.runs.overview", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        metier("runs")


def test_stopped_by_the_keyboard(monkeypatch):
    def stop(*_arguments, **_keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("metier.pipeline.runs.overview", stop)
    result = metier("runs")
    assert result.code == 130 and "metier: stopped" in result.err


def test_light_imports():
    code = (
        "import sys, metier\n"
        "heavy = {'torch', 'polars', 'pydantic', 'numpy', 'transformers', 'typer'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "import metier.cli\n"
        "sys.argv = ['metier', '--help']\n"
        "try: metier.cli.main()\n"
        "except SystemExit as stop: assert not stop.code\n"
        "assert not {'torch', 'polars', 'transformers', 'sklearn', 'matplotlib'} & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "train" in done.stdout


def test_the_module_runs_as_the_command():
    assert callable(cli.main) and cli.app.info.name == "metier"
