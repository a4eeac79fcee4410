"""Several processes share a fit: one run, the same weights everywhere."""

import json
import os
import subprocess
import sys
from pathlib import Path

import fits
import numpy as np
import pytest
from commands import metier, refused

from metier.run import Run
from metier.train.finetune import share_of

HERE = Path(__file__).parent


def test_torchrun(tmp_path, toy_backbone, toy_news):
    heads = {"sentiment": {"column": "sentiment"}, "place": {"column": "place"}}
    recipe = fits.recipe(tmp_path / "r.toml", toy_news, heads, toy_backbone, patience=1, epochs=6)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command += [HERE / "shared_fit.py", tmp_path, "train", recipe, "--out", tmp_path / "run", "--json"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent.parent), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run(list(map(str, command)), env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(said) == 1 and json.loads(said[0])["run"] == str(tmp_path / "run")
    assert done.stderr.count("valid sentiment") == len([line for line in metrics(tmp_path / "run") if line["valid"]])
    ranks = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in range(2)]
    assert ranks[0]["weights"] == ranks[1]["weights"] and ranks[0]["steps"] == ranks[1]["steps"]
    assert ranks[0]["examples"] < 72 * 6 / 2 + 60, "each process sees its share"
    Run.open(tmp_path / "run")
    assert metier("evaluate", tmp_path / "run", toy_news, "--json").json["heads"]["place"]["test"]["documents"] == 24
    assert sorted(item.name for item in tmp_path.iterdir()) == ["r.toml", "rank-0.json", "rank-1.json", "run"]


def metrics(run: Path) -> list[dict]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("count", "world"), [(7, 2), (8, 2), (1, 3), (2, 5), (9, 1)])
def test_every_process_has_as_many_batches_and_none_is_left_out(count, world):
    batches = [np.array([index]) for index in range(count)]
    shares = [share_of(batches, rank, world) for rank in range(world)]
    assert len({len(share) for share in shares}) == 1
    assert {int(batch[0]) for share in shares for batch in share} == set(range(count))


def test_seeds_are_not_shared(monkeypatch, tmp_path, toy_news, toy_backbone):
    monkeypatch.setenv("WORLD_SIZE", "2")
    recipe = fits.recipe(tmp_path / "r.toml", toy_news, {"place": {"column": "place"}}, toy_backbone)
    assert "Several seeds cannot share several processes" in refused("train", recipe, "--seeds", "2")
