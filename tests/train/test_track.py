"""What a fit leaves for those who look at curves."""

import json

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from metier.train.loop import Record
from metier.train.track import Tracker


def record(step, valid=None):
    return Record(step, 0, 0.1, 1.0 / step, 0.5, 1e-3, 8, 80, 0.1, valid)


def lines(folder):
    return [json.loads(line)["step"] for line in (folder / "metrics.jsonl").read_text().splitlines()]


def test_tensorboard_and_json_lines(tmp_path):
    with Tracker(tmp_path) as tracker:
        for step in (1, 2, 3):
            tracker.write(record(step, {"metric": 0.5, "place": 0.5} if step == 3 else None))
    assert lines(tmp_path) == [1, 2, 3]
    board = EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert {"train/loss", "train/rate", "train/norm", "valid/place"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("train/loss")] == [1, 2, 3]
    assert board.Scalars("train/loss")[1].value == pytest.approx(0.5)


def test_going_on_drops_what_came_after_the_checkpoint(tmp_path):
    with Tracker(tmp_path) as tracker:
        for step in (1, 2, 3, 4):
            tracker.write(record(step))
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5, "lo')  # killed while it wrote
    with Tracker(tmp_path, resume_at=2) as tracker:
        tracker.write(record(3))
    assert lines(tmp_path) == [1, 2, 3]


def test_other_processes_write_nothing(tmp_path):
    with Tracker(tmp_path, active=False) as tracker:
        tracker.write(record(1))
        tracker.flush()
    assert not list(tmp_path.iterdir())


@pytest.mark.filterwarnings("ignore")
def test_weights_and_biases_offline(tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    (tmp_path / "run").mkdir()
    with Tracker(tmp_path / "run", wandb="metier") as tracker:
        tracker.write(record(1, {"metric": 0.5}))
    assert list(tmp_path.rglob("*.wandb")), "an offline run is on disk"
