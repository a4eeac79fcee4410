"""There and back through two tiny sequence-to-sequence models."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

from metier.errors import BackboneError
from metier.models.machine import seeded
from metier.models.translate import RoundTrip, Translator, require_model

CPU = torch.device("cpu")
ENGLISH = ["bank", "gains", "market", "falls"]
GERMAN = ["Bank", "gewinnt", "Markt", "sinkt"]


def model(folder: Path, pairs: list[tuple[str, str]]) -> Path:
    """A T5 that was fitted to translate these sentences, with a tokenizer of whole words."""
    words = sorted({word for pair in pairs for text in pair for word in text.split()})
    known = {word: at for at, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    tokenizer = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=32
    )
    fast.save_pretrained(folder)
    config = T5Config(
        vocab_size=len(known), d_model=32, d_kv=8, d_ff=64, num_layers=1, num_heads=4, dropout_rate=0.0,
        decoder_start_token_id=0, pad_token_id=0, eos_token_id=1,
    )  # fmt: skip
    source = fast([one for one, _ in pairs], return_tensors="pt", padding=True)
    target = fast([other for _, other in pairs], return_tensors="pt", padding=True)["input_ids"]
    with seeded(5):
        fitted = T5ForConditionalGeneration(config)
        optimiser = torch.optim.Adam(fitted.parameters(), lr=1e-2)
        for _ in range(80):
            labels = target.masked_fill(target == 0, -100)
            loss = fitted(input_ids=source["input_ids"], attention_mask=source["attention_mask"], labels=labels).loss
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    fitted.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """English to German, and back with other words than the first ones."""
    root = tmp_path_factory.mktemp("translate")
    there = list(zip(ENGLISH, GERMAN, strict=True))
    back = list(zip(GERMAN, ["lender", "wins", "exchange", "sinks"], strict=True))
    return model(root / "there", there), model(root / "back", back)


def test_there_and_back(folders: tuple[Path, Path]) -> None:
    there, back = (Translator.load(folder, CPU) for folder in folders)
    assert there(ENGLISH) == GERMAN
    trip = RoundTrip(there, back, seed=3)
    assert trip(["gains", "bank"], 0) == ["wins", "lender"]
    assert trip(["gains"] * 3, 1) == trip(["gains"] * 3, 1)
    assert trip([], 0) == []


def test_what_is_no_translator_is_refused(tmp_path: Path, toy_backbone: Path) -> None:
    with pytest.raises(BackboneError, match="no readable config.json"):
        require_model(tmp_path)
    with pytest.raises(BackboneError, match="no sequence-to-sequence model"):
        require_model(toy_backbone)
