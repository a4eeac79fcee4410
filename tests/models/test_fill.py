"""Masked-language models on a tiny one that was fitted to one sentence, so that what it must say is known."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import toy
from transformers import BertConfig, BertForMaskedLM

from metier.errors import BackboneError
from metier.models import backbone as backbones
from metier.models.fill import Filler, require_head
from metier.models.machine import seeded

CPU = torch.device("cpu")
TEXT = "bank shares gains after record profit"


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT with a masked-language head that knows `TEXT` by heart."""
    folder = toy.backbone(tmp_path_factory.mktemp("masked") / "model")
    tokenizer = backbones.load_tokenizer(backbones.find(str(folder)))
    config = BertConfig.from_pretrained(folder)
    ids = torch.tensor([tokenizer.encode(TEXT).ids])
    with seeded(3):
        model = BertForMaskedLM(config).eval()
        optimiser = torch.optim.Adam(model.parameters(), lr=5e-3)
        for step in range(120):
            at = 1 + step % (ids.shape[1] - 2)
            hidden = ids.clone()
            hidden[0, at] = tokenizer.token_to_id("[MASK]")
            loss = torch.nn.functional.cross_entropy(model(input_ids=hidden).logits[0], ids[0])
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    model.save_pretrained(folder)
    return folder


def test_the_likeliest_word_is_the_one_that_was_learned(masked: Path) -> None:
    fill = Filler.load(backbones.find(str(masked)), CPU)
    start = TEXT.index("gains")
    found = fill([TEXT, "[MASK] " + TEXT, TEXT], [[(start, start + 5)], [(start + 7, start + 12)], []])
    assert [len(own) for own in found] == [1, 1, 0]
    assert max(found[0][0], key=lambda word: found[0][0][word]) == "gains"
    assert len(found[0][0]) <= 10 and all("##" not in word and word.isalpha() for word in found[0][0])
    assert found[0][0] == fill([TEXT], [[(start, start + 5)]])[0][0] != {}


def test_places_behind_the_window_get_no_word(masked: Path) -> None:
    fill = Filler.load(backbones.find(str(masked)), CPU)
    text = " ".join(["bank"] * 100)
    found = fill([text], [[(0, 4), (len(text) - 4, len(text))]])
    assert len(found[0]) == 2 and found[0][0] and not found[0][1]


def test_a_backbone_without_a_head_is_refused(toy_backbone: Path) -> None:
    for refuse in (require_head, lambda backbone: Filler.load(backbone, CPU)):
        with pytest.raises(BackboneError, match="has no masked-language head"):
            refuse(backbones.find(str(toy_backbone)))


def test_minilm_has_no_head() -> None:
    with pytest.raises(BackboneError, match="minilm has no masked-language head"):
        require_head(backbones.find("minilm"))
