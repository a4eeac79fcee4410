"""States of frozen layers on disk (what they compute is tested beside the network)."""

import errno
import os

import fits
import numpy as np
import pytest
from commands import metier, refused

from metier.errors import RunError
from metier.models import backbone
from metier.models.network import Network
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.tasks import build
from metier.train.frozen import FILE, Frozen
from metier.types import Document

ONE = {"place": {"column": "place"}}


def full(*_arguments):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_states_are_on_disk(toy_backbone, tmp_path):
    found = backbone.find(str(toy_backbone))
    network = Network(backbone.load_encoder(found), {"a": build("classify", ["x", "y"])})
    tokeniser = Tokeniser(backbone.load_tokenizer(found), max_length=32)
    table = Table.of([Document("Berlin gains"), Document("Oslo falls today")], tokeniser, network.tasks)
    network.freeze(1)
    frozen = Frozen(table, network, tmp_path / "f")
    assert frozen.states.shape == (9, 32) and np.abs(frozen.states).sum(axis=1).min() > 0
    assert (tmp_path / "f" / FILE).stat().st_size == 9 * 32 * 4


def test_a_full_disk(monkeypatch, tmp_path, toy_backbone, toy_news):
    if not hasattr(os, "posix_fallocate"):
        pytest.skip("this system reserves no room for files")
    monkeypatch.setattr(os, "posix_fallocate", full)
    recipe = fits.recipe(tmp_path / "r.toml", toy_news, ONE, toy_backbone, method="freeze")
    assert "No space left on device" in refused("train", recipe, "--out", tmp_path / "run")
    with pytest.raises(RunError, match="No space left"):
        from metier.train.frozen import _reserve

        _reserve(tmp_path / "x", 100)


def test_nothing_of_it_stays_in_the_run(tmp_path, toy_backbone, toy_news):
    recipe = fits.recipe(tmp_path / "r.toml", toy_news, ONE, toy_backbone, method="freeze", epochs=1)
    assert metier("train", recipe, "--out", tmp_path / "run").code == 0
    assert not list((tmp_path / "run").rglob(FILE)) and not (tmp_path / "run.partial").exists()
