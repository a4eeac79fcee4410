"""A checkpoint is whole, belongs to its fit, and holds everything."""

import errno

import pytest
import torch
from test_loop import fit, loop, model
from torch import Tensor

from metier import run
from metier.errors import RunError
from metier.train import checkpoint
from metier.train.loop import Settings

FACTS = {"recipe": {"epochs": 2}, "data": "abc", "threads": 1}
SETTINGS = Settings(epochs=2, ema=0.9, patience=5)


def begun(steps):
    made = fit(SETTINGS, lambda: {"metric": -float(made.network.weight.square().sum())})
    for record in loop.steps(made):
        if record.step == steps:
            return made
    raise AssertionError


def test_everything_comes_back(tmp_path):
    made = begun(7)
    torch.manual_seed(3)
    checkpoint.write(made, tmp_path / "c", FACTS)
    drawn = torch.rand(4)
    again = fit(SETTINGS, lambda: {"metric": 0.0}, model())
    assert checkpoint.read(again, tmp_path / "c", FACTS)
    assert torch.equal(torch.rand(4), drawn), "the generator goes on where it was"
    for name in made.state.__slots__:
        before, after = getattr(made.state, name), getattr(again.state, name)
        same = (
            all(torch.equal(before[key], after[key]) for key in before) if isinstance(before, dict) else before == after
        )
        assert same and (not isinstance(before, dict) or before.keys() == after.keys()), name
    moments, others = made.optimiser.state(), again.optimiser.state()
    assert moments.keys() == others.keys() and all(torch.equal(moments[key], others[key]) for key in moments)
    assert torch.equal(made.network.weight, again.network.weight)
    assert (made.state.epoch, made.state.position, made.state.step) == (1, 1, 7)


def test_none_is_none(tmp_path):
    assert not checkpoint.read(begun(1), tmp_path / "nowhere", FACTS)


@pytest.mark.parametrize(("key", "value"), [("data", "abd"), ("recipe", {"epochs": 3}), ("threads", 2)])
def test_another_fit(tmp_path, key, value):
    checkpoint.write(begun(2), tmp_path, FACTS)
    with pytest.raises(RunError, match=f"made with another {key}"):
        checkpoint.read(begun(1), tmp_path, {**FACTS, key: value})


@pytest.mark.parametrize("keep", [0, 5, 300])
def test_damaged(tmp_path, keep):
    checkpoint.write(begun(2), tmp_path, FACTS)
    file = tmp_path / checkpoint.FILE
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(RunError, match="is damaged"):
        checkpoint.read(begun(1), tmp_path, FACTS)


def test_a_full_disk_leaves_the_last_one(tmp_path, monkeypatch):
    checkpoint.write(begun(3), tmp_path, FACTS)

    def full(*_arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(run.os, "fsync", full)
        with pytest.raises(RunError, match="No space left"):
            checkpoint.write(begun(5), tmp_path, FACTS)
    again = fit(SETTINGS, None, model())
    assert checkpoint.read(again, tmp_path, FACTS) and again.state.step == 3


def test_writing_changes_nothing(tmp_path):
    made, other = begun(4), begun(4)
    checkpoint.write(made, tmp_path, FACTS)
    weights: list[Tensor] = []
    for one in (made, other):
        list(loop.steps(one))
        weights.append(one.network.weight)
    assert torch.equal(*weights)
