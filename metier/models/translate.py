"""Texts into another language and back: two sequence-to-sequence models in local folders."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from metier.errors import BackboneError
from metier.models.machine import seeded
from metier.models.quiet import quiet

TOP = 10
"""Tokens that are drawn from where a second translation is to differ from the first."""
LONGER = 2.0
"""How many times as long as its text a translation may be, in tokens."""


class Translator:
    """One direction: what `AutoModelForSeq2SeqLM` loads from a folder, a MarianMT model for instance.

    A model that translates several languages, or wants to be told which, is taken as it is: its own defaults count.
    """

    def __init__(self, model: Any, tokenizer: Any, device: torch.device) -> None:
        self.model, self.tokenizer, self.device = model.to(device).eval(), tokenizer, device

    @classmethod
    def load(cls, folder: str | Path, device: torch.device) -> Translator:
        """Raises `BackboneError` for a folder that holds no such model."""
        require_model(folder)
        from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

        options: dict[str, Any] = {"trust_remote_code": False, "local_files_only": True}
        try:
            tokenizer = AutoTokenizer.from_pretrained(str(folder), **options)
            with quiet():
                model = AutoModelForSeq2SeqLM.from_pretrained(str(folder), use_safetensors=True, **options)
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError) as error:
            raise BackboneError(f"{folder} cannot be loaded: {type(error).__name__}: {error}.") from None
        return cls(model, tokenizer, device)

    @torch.inference_mode()
    def __call__(self, texts: Sequence[str], *, drawn: bool = False) -> list[str]:
        """The texts translated: word by likeliest word, or each drawn from the `TOP` likeliest."""
        if not texts:
            return []
        window = min(int(getattr(self.model.config, "max_position_embeddings", 512) or 512), 512)
        rows = self.tokenizer(list(texts), return_tensors="pt", padding=True, truncation=True, max_length=window)
        inputs = {name: rows[name].to(self.device) for name in ("input_ids", "attention_mask")}
        longest = max(8, min(window - 1, round(LONGER * inputs["input_ids"].shape[1])))
        how: dict[str, Any] = {"do_sample": True, "top_k": TOP} if drawn else {"do_sample": False}
        found = self.model.generate(**inputs, num_beams=1, max_new_tokens=longest, **how)
        said: list[str] = self.tokenizer.batch_decode(found.cpu(), skip_special_tokens=True)
        return said


class RoundTrip:
    """There and back (Sennrich, Haddow & Birch 2016), behind the callable that `data.augment.copies` asks.

    The first round is the likeliest translation, further ones are drawn (Edunov et al. 2018). The same seed draws the
    same texts.
    """

    def __init__(self, there: Translator, back: Translator, seed: int) -> None:
        self.there, self.back, self.seed = there, back, seed

    def __call__(self, texts: list[str], number: int) -> list[str]:
        """Every text as it comes back in round `number`."""
        with seeded(self.seed + number):
            return self.back(self.there(texts, drawn=number > 0))


def require_model(folder: str | Path) -> None:
    """Raises `BackboneError` where a folder holds no sequence-to-sequence model."""
    path = Path(folder).expanduser()
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise BackboneError(
            f"{folder} is not a model: it has no readable config.json.",
            expected="augment.translate names two local folders, there and back",
        ) from None
    if not config.get("is_encoder_decoder"):
        raise BackboneError(
            f"{folder} is no sequence-to-sequence model.", expected="one that translates, as MarianMT does"
        )
    if not list(path.glob("*.safetensors")):
        raise BackboneError(f"{folder} has no .safetensors file.", expected="weights as safetensors")
