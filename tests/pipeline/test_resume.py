"""Killed and resumed, a fit ends with the same weights, bit for bit."""

from pathlib import Path

import fits
import pytest
import toy
from commands import killed, metier, refused, started

TWO = {"sentiment": {"column": "sentiment"}, "place": {"column": "place"}}
ONE = {"sentiment": {"column": "sentiment"}}
CASES = {
    "full": (TWO, {}),
    "frozen layers, averaged weights": (ONE, {"method": "freeze", "ema": 0.9, "epochs": 6}),
    "marks and accumulation": ({"label": {"column": "label"}}, {"accumulate": 2, "epochs": 8}),
    "ranks that are taken away": (ONE, {"method": "adalora", "epochs": 6}),
    "marks beside a frozen backbone": ({"label": {"column": "label"}}, {"method": "lora"}),
}


@pytest.mark.parametrize("case", CASES)
def test_kill_and_resume(case, tmp_path, toy_backbone, toy_news):
    heads, settings = CASES[case]
    data = fits.relations(tmp_path / "data.jsonl") if "label" in heads else toy_news
    recipe = fits.recipe(tmp_path / "r.toml", data, heads, toy_backbone, checkpoint_seconds=0.0, **settings)
    whole, torn = tmp_path / "whole", tmp_path / "torn"
    assert metier("train", recipe, "--out", whole).code == 0
    killed(started(tmp_path / "log", "train", recipe, "--out", torn), lambda: fits.step(torn) >= 9)
    assert not torn.exists()
    assert "is not finished" in refused("evaluate", torn, data)
    resumed = metier("train", "--resume", torn, "--json")
    assert resumed.code == 0 and f"Resuming at step {9}" <= resumed.err[resumed.err.index("Resuming") :]
    assert fits.weights(torn) == fits.weights(whole)
    assert resumed.json["run"] == str(torn) and not torn.with_name("torn.partial").exists()
    lines = [(run / "metrics.jsonl").read_text().splitlines() for run in (whole, torn)]
    assert len(lines[0]) == len(lines[1])


def test_killed_before_the_first_checkpoint_and_resumed_from_elsewhere(tmp_path, toy_backbone, toy_news, monkeypatch):
    monkeypatch.chdir(toy_news.parent)
    recipe = fits.recipe(tmp_path / "r.toml", toy_news.name, ONE, toy_backbone, epochs=2)
    out = tmp_path / "run"
    started_at = tmp_path / "run.partial" / "recipe.toml"
    killed(started(tmp_path / "log", "train", recipe, "--out", out), started_at.is_file)
    assert metier("train", recipe, "--out", tmp_path / "whole").code == 0
    monkeypatch.chdir(tmp_path)
    assert metier("train", "--resume", out).code == 0
    assert not (out / "folder.txt").exists()
    assert fits.weights(out) == fits.weights(tmp_path / "whole")


def test_several_seeds_go_on_where_they_stopped(tmp_path, toy_backbone, toy_news):
    recipe = fits.recipe(tmp_path / "r.toml", toy_news, ONE, toy_backbone, checkpoint_seconds=0.0)
    out = tmp_path / "runs"
    command = ("train", recipe, "--seeds", "2", "--out", out)
    killed(started(tmp_path / "log", *command), lambda: fits.step(out / "seed-14") >= 3)
    again = metier(*command)
    assert again.code == 0 and "seed 13: there already" in again.err and "seed 14: goes on" in again.err
    assert metier("train", recipe, "--seed", "14", "--out", tmp_path / "alone").code == 0
    assert fits.weights(out / "seed-14") == fits.weights(tmp_path / "alone")


@pytest.fixture(scope="module")
def unfinished(tmp_path_factory, toy_backbone) -> Path:
    """A run that was cut off, with its data beside it."""
    folder = tmp_path_factory.mktemp("unfinished")
    data = toy.news(folder / "news.csv", rows=60)
    recipe = fits.recipe(folder / "r.toml", data, ONE, toy_backbone, checkpoint_seconds=0.0)
    killed(started(folder / "log", "train", recipe, "--out", folder / "run"), lambda: fits.step(folder / "run") >= 3)
    return folder


def test_an_unfinished_fit_is_not_begun_anew(unfinished):
    message = refused("train", unfinished / "r.toml", "--out", unfinished / "run")
    assert "unfinished fit" in message and "--resume" in message and fits.step(unfinished / "run") >= 3


def test_changed_data_are_refused(unfinished):
    data = unfinished / "news.csv"
    before = data.read_bytes()
    data.write_bytes(before + b"one more line,positive,Berlin,train\n")
    message = refused("train", "--resume", unfinished / "run")
    data.write_bytes(before)
    assert "another data" in message


def test_changed_recipe_is_refused(unfinished):
    recipe = unfinished / "run.partial" / "recipe.toml"
    before = recipe.read_text()
    assert "batch_size = 8" in before
    recipe.write_text(before.replace("batch_size = 8", "batch_size = 4"))
    message = refused("train", "--resume", unfinished / "run")
    recipe.write_text(before)
    assert "another recipe" in message


def test_a_damaged_checkpoint_is_refused(unfinished):
    file = unfinished / "run.partial" / "checkpoint" / "fit.safetensors"
    before = file.read_bytes()
    file.write_bytes(before[: len(before) // 2])
    message = refused("train", "--resume", unfinished / "run")
    file.write_bytes(before)
    assert "is damaged" in message


def test_an_unfinished_run_is_listed(unfinished):
    found = metier("runs", "--folder", unfinished, "--json").json["runs"]
    assert [(Path(line["run"]).name, line["state"]) for line in found] == [("run.partial", "unfinished")]


def test_nothing_to_resume(tmp_path, toy_run):
    assert "There is no unfinished run" in refused("train", "--resume", tmp_path / "none")
    assert "is a whole run already" in refused("train", "--resume", toy_run)
