"""Texts as unit vectors without a fit: parity with the network, texts that cannot be read, damage."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
import torch
import toy

from metier.errors import BackboneError, RunError
from metier.models.backbone import find, load_encoder
from metier.pipeline.encoder import Encoder, build
from metier.types import Document

TEXTS = ["Berlin bank rises after strong profit", "loss", "the company warns of fraud in Lima, shares sink " * 3]


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.backbone(tmp_path_factory.mktemp("backbone"))


@pytest.fixture(scope="module")
def encoder(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Encoder:
    return build(tmp_path_factory.mktemp("made") / "encoder", str(source), texts=[*TEXTS, *toy.FILLER])


def test_vectors_are_the_mean_over_the_tokens_of_the_backbone(encoder: Encoder, source: Path) -> None:
    network = load_encoder(find(str(source))).eval()
    found = encoder(TEXTS)
    assert found.shape == (3, 32) and found.dtype == np.float32
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    for text, vector in zip(TEXTS, found, strict=True):
        ids = torch.tensor([encoder._tokeniser.rows([Document(text)]).ids.tolist()])
        with torch.no_grad():
            mean = network(ids, torch.ones_like(ids).bool(), torch.zeros_like(ids))[0].mean(0).numpy()
        assert float(vector @ mean) / float(np.linalg.norm(mean)) > 0.98
    assert encoder.facts.parity >= 0.99 and encoder.facts.precision in ("int8", "fp32")


def test_a_text_has_one_vector_alone_or_among_others(encoder: Encoder) -> None:
    alone = np.concatenate([encoder([text]) for text in TEXTS])
    assert (alone * encoder(TEXTS * 4)[:3]).sum(axis=1) == pytest.approx(np.ones(3), abs=0.02)
    assert encoder([]).shape == (0, 32)


def test_a_text_that_cannot_be_read_has_no_vector(encoder: Encoder) -> None:
    assert encoder(["龘龘龘龘", "profit", "profit 龘龘龘"]).any(axis=1).tolist() == [False, True, False]
    assert np.isfinite(encoder(["", " ", "a" * 5_000, "\ud800"])).all()


def test_threads_may_share_it(encoder: Encoder) -> None:
    wanted, found = encoder(["strong profit"]), []
    threads = [threading.Thread(target=lambda: found.append(encoder(["strong profit"]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(np.array_equal(one, wanted) for one in found)


def test_it_is_made_once(encoder: Encoder, source: Path) -> None:
    graph = encoder.folder / "model.onnx"
    before = graph.stat().st_mtime_ns
    again = build(encoder.folder, str(source))
    assert graph.stat().st_mtime_ns == before and again.version == encoder.version


def test_what_is_no_encoder_is_refused_in_one_line(encoder: Encoder, tmp_path: Path) -> None:
    with pytest.raises(RunError, match="is not an encoder"):
        Encoder(tmp_path)
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in encoder.folder.iterdir():
        (broken / file.name).write_bytes(file.read_bytes()[:-1] if file.suffix == ".onnx" else file.read_bytes())
    with pytest.raises(RunError, match="damaged: model.onnx"):
        Encoder(broken)
    with pytest.raises(BackboneError):
        build(tmp_path / "none", str(tmp_path / "nothing-here"))
    assert not (tmp_path / "none").exists()
