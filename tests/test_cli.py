"""The command line: one line of JSON at the end, exit codes, and what each command leaves behind."""

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import fits
import polars as pl
import pytest
import toy
from commands import metier, refused

from metier import cli
from metier.cli import fit
from metier.progress import Progress
from metier.train.loop import Record


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
    again = metier("train", quick, "--out", tmp_path / "runs", "--seeds", 3, "--seed", 5, "--json")
    assert [f"seed {seed}: there already" in again.err for seed in (5, 6, 7)] == [True, True, False]
    assert again.json["seeds"][:2] == found["seeds"]
    other = metier("train", quick, "--out", tmp_path / "runs", "--seeds", 2, "--seed", 5, "--epochs", 1)
    assert other.code == 0 and "there already" not in other.err


def test_nothing_to_test_on(tmp_path, toy_backbone, toy_news):
    data, heads = tmp_path / "d.csv", {name: {"column": name} for name in ("sentiment", "place")}
    place = pl.when(pl.col("split") != "test").then("place")
    pl.read_csv(toy_news).with_columns(place.alias("place")).write_csv(data)
    recipe = fits.recipe(tmp_path / "r.toml", data, heads, toy_backbone, method="probe")
    recipe.write_text(recipe.read_text().replace("[data]", '[data]\nsplit = "split"'))
    result = metier("train", recipe, "--out", tmp_path / "run", "--json")
    assert result.code == 0, result.err
    assert result.json["heads"]["place"]["test"] == {"headline": None}
    assert "Nothing was measured on a test split for place:" in result.err and "too few rows" in result.err


def test_seeds_without_a_test_split(capsys):
    head = {"task": "classify", "valid": {"headline": {"name": "accuracy", "value": 0.5, "sd": 0.1}}}
    one = {"run": "r/seed-1", "seed": 1, "heads": {"place": {**head, "test": {}}}}
    fit._finish_seeds({"run": "r", "heads": {"place": head}, "seeds": [one]}, 0.0, as_json=True)
    printed = capsys.readouterr()
    found = json.loads(printed.out)
    assert found["heads"]["place"]["test"] == found["seeds"][0]["heads"]["place"]["test"] == {"headline": None}
    assert found["heads"]["place"]["valid"] == head["valid"] and "too few rows" in printed.err


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


def test_doctor_of_a_named_task(tmp_path, toy_backbone):
    data = toy.lines(tmp_path / "d.jsonl", [{"text": f"a text {at}", "label": str(at % 2)} for at in range(8)])
    flags = ("doctor", data, "--label", "label", "--backbone", toy_backbone)
    assert metier(*flags, "--task", "score", "--json").code == 0
    assert "Did you mean 'classify'?" in refused(*flags, "--task", "clasify")


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


def test_flags_before_compare_count(toy_run, monkeypatch):
    seeds = []
    monkeypatch.setattr("metier.pipeline.outcomes.compare", lambda a, b, seed: seeds.append(seed) or {})
    before = metier("runs", "--folder", toy_run.parent, "--json", "--seed", 5, "compare", toy_run.name, toy_run)
    assert before.json["a"] == before.json["b"] == str(toy_run)
    assert metier("runs", "--seed", 5, "compare", toy_run, toy_run, "--seed", 6).code == 0
    assert metier("runs", "compare", toy_run, toy_run).code == 0
    assert seeds == [5, 6, 13]


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
        (["predict", "run", "x.csv", "--threads", "-3"], "--threads"),
        (["evaluate", "run", "x.csv", "--threads", "-3"], "--threads"),
        (["serve", "run", "--threads", "-3"], "--threads"),
        (["train", "x.csv", "--epochs", "1", "--resume", "run"], "takes no other option (found x.csv, --epochs)"),
        (["train", "--resume", "run", "--seeds", "1", "--json"], "takes no other option (found --seeds)"),
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


def fails(monkeypatch, *error):
    def failing(*_arguments, **_keywords):
        raise OSError(*error)

    monkeypatch.setattr("metier.pipeline.runs.overview", failing)


@pytest.mark.parametrize(
    "code", [errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EACCES, errno.EROFS, errno.ENAMETOOLONG]
)
def test_a_path_that_cannot_be_used(monkeypatch, code):
    fails(monkeypatch, code, "words", "some/file")
    message = refused("runs")
    assert "some/file" in message and os.strerror(code) in message


def test_a_path_that_only_the_words_name(monkeypatch):
    fails(monkeypatch, errno.EISDIR, "Failed to open local file 'out.csv'. Detail: [errno 21] Is a directory")
    assert "out.csv cannot be read or written: Is a directory" in refused("runs")


@pytest.mark.parametrize("error", [(errno.EIO, "broken", "some/file"), (errno.ENOENT, "what")])
def test_other_errors_of_the_system_are_faults(monkeypatch, error):
    fails(monkeypatch, *error)
    with pytest.raises(OSError, match=error[1]):
        metier("runs")


def test_out_in_a_file(toy_run, toy_news, quick, tmp_path):
    (tmp_path / "file").write_text("x")
    assert "Not a directory" in refused("train", quick, "--out", tmp_path / "file" / "run")
    assert "Not a directory" in refused("predict", toy_run, toy_news, "--out", tmp_path / "file" / "scored.csv")
    (tmp_path / "folder.toml").mkdir()
    assert "folder.toml cannot be read: Is a directory" in refused("train", tmp_path / "folder.toml")


def test_stopped_by_the_keyboard(monkeypatch):
    def stop(*_arguments, **_keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr("metier.pipeline.runs.overview", stop)
    result = metier("runs")
    assert result.code == 130 and "metier: stopped" in result.err


def test_progress_of_a_method_without_steps():
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.stage("probe", 2)
        progress.step(Record(0, 0, 1.0, 0.0, 0.0, 0.0, 0, 0, 0.0, {"metric": 0.5, "place": 0.5}, best=True))
        progress.step(Record(7, 0, 1.0, 0.25, 0.0, 0.0, 2, 9, 0.5, {"metric": 0.5, "place": 0.5}, best=True))
    assert stream.getvalue().splitlines()[1:] == ["valid place 0.5000", "epoch 1 step 7: valid place 0.5000 (best)"]


def test_the_progress_of_a_method_without_steps_has_no_speed(monkeypatch):
    monkeypatch.setattr("metier.progress.LINE_SECONDS", 0.0)
    stream = io.StringIO()
    with Progress(stream) as progress:
        progress.stage("probe", 2)
        progress.tick(2)
        progress.step(Record(0, 0, 1.0, 0.0, 0.0, 0.0, 0, 0, 0.0, None))
    assert "loss" not in stream.getvalue() and "e+00" not in stream.getvalue()


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
