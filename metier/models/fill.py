"""Masked-language models: the words that a text wants where some are hidden."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from metier.errors import BackboneError
from metier.models.backbone import Backbone, load_tokenizer
from metier.models.quiet import quiet

if TYPE_CHECKING:
    from tokenizers import Tokenizer

MASKS = ("[MASK]", "<mask>")
BEGINNINGS = ("\u0120", "\u2581")
"""What stands before a token that begins a word, where a tokenizer marks these and not the others."""
TOP = 10
"""Words for a place, the likeliest ones."""


class Filler:
    """A masked-language model behind the callable that `data.augment.masked` asks.

    Args:
        model: what transformers loads for masked-language modelling.
        tokenizer: its own.
        device: where to compute.
    """

    def __init__(self, model: Any, tokenizer: Tokenizer, device: torch.device) -> None:
        self.model, self.tokenizer, self.device = model.to(device).eval(), tokenizer, device
        self.mask = next(name for name in MASKS if tokenizer.token_to_id(name) is not None)
        self.mask_id = int(tokenizer.token_to_id(self.mask) or 0)
        tokenizer.no_padding()
        tokenizer.enable_truncation(_window(model.config))
        self.allowed = self._words()

    @classmethod
    def load(cls, backbone: Backbone, device: torch.device) -> Filler:
        """Raises `BackboneError` where a backbone has no masked-language head or cannot be loaded."""
        require_head(backbone)
        from transformers import AutoModelForMaskedLM

        tokenizer = load_tokenizer(backbone)
        if all(tokenizer.token_to_id(name) is None for name in MASKS):
            raise BackboneError(f"The tokenizer of {backbone.name} has no mask.", expected=" or ".join(MASKS))
        try:
            with quiet():
                model = AutoModelForMaskedLM.from_pretrained(
                    str(backbone.folder), use_safetensors=True, trust_remote_code=False, local_files_only=True
                )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            raise BackboneError(f"{backbone.folder} cannot be loaded: {type(error).__name__}: {error}.") from None
        return cls(model, tokenizer, device)

    @torch.inference_mode()
    def __call__(
        self, texts: Sequence[str], places: Sequence[Sequence[tuple[int, int]]]
    ) -> list[list[dict[str, float]]]:
        """Of each place `(start, end)` of each text the likeliest words with their probabilities.

        All places of a text are hidden at once. A place behind the model's window gets no word.
        """
        encoded = self.tokenizer.encode_batch([self._hidden(*item) for item in zip(texts, places, strict=True)])
        width = max((len(item.ids) for item in encoded), default=0)
        ids = torch.zeros((len(encoded), width), dtype=torch.int64)
        mask = torch.zeros_like(ids)
        for row, item in enumerate(encoded):
            ids[row, : len(item.ids)] = torch.tensor(item.ids)
            mask[row, : len(item.ids)] = 1
        rows, columns = torch.nonzero(ids == self.mask_id, as_tuple=True)
        logits = self.model(input_ids=ids.to(self.device), attention_mask=mask.to(self.device)).logits
        shares = (logits[rows, columns].float().cpu() + self.allowed).softmax(dim=-1)
        found: list[list[dict[str, float]]] = [[] for _ in texts]
        for row, share in zip(rows.tolist(), shares, strict=True):
            found[row].append(self._likeliest(share))
        return [own + [{}] * (len(asked) - len(own)) for own, asked in zip(found, places, strict=True)]

    def _hidden(self, text: str, places: Sequence[tuple[int, int]]) -> str:
        parts, last = [], 0
        for start, end in places:
            parts.append(text[last:start].replace(self.mask, ""))
            last = end
        return self.mask.join([*parts, text[last:].replace(self.mask, "")])

    def _likeliest(self, share: torch.Tensor) -> dict[str, float]:
        values, ids = share.topk(min(TOP, len(share)))
        words: dict[str, float] = {}
        for value, token in zip(values.tolist(), ids.tolist(), strict=True):
            if value > 0:
                words.setdefault(self.tokenizer.decode([token]).strip(), value)
        return words

    def _words(self) -> torch.Tensor:
        """0 for tokens that begin a word, minus infinity for all others, `(vocabulary,)`."""
        size = int(self.model.config.vocab_size)
        tokens = [self.tokenizer.id_to_token(at) or "" for at in range(size)]
        marks = tuple(mark for mark in BEGINNINGS if any(token.startswith(mark) for token in tokens))
        allowed = torch.full((size,), float("-inf"))
        for at, token in enumerate(tokens):
            bare = token.lstrip("".join(BEGINNINGS))
            if bare.isalpha() and (not marks or token.startswith(marks)):
                allowed[at] = 0.0
        return allowed


def require_head(backbone: Backbone) -> None:
    """Raises `BackboneError` where none of a masked-language head's weights are among those of a backbone."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    try:
        config = AutoConfig.from_pretrained(str(backbone.folder), trust_remote_code=False, local_files_only=True)
        with torch.device("meta"):
            model = AutoModelForMaskedLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise BackboneError(
            f"{backbone.name} is of no architecture with a masked-language head ({type(error).__name__}).",
            hint="name a BERT-like model in augment.fill",
        ) from None
    own = {name for name in model.state_dict() if not name.startswith(f"{model.base_model_prefix}.")}
    stored: set[str] = set()
    for file in sorted(backbone.folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as weights:
            stored |= set(weights.keys())
    if not own & stored:
        raise BackboneError(
            f"{backbone.name} has no masked-language head.",
            expected="weights that were saved with one, as BertForMaskedLM saves them",
            hint="name such a model in augment.fill, or set augment.masked to 0",
        )


def _window(config: Any) -> int:
    """The most tokens that a row may have; RoBERTa's kin count positions from behind the padding."""
    positions = int(getattr(config, "max_position_embeddings", 512))
    return positions - (int(config.pad_token_id) + 1 if "roberta" in config.model_type else 0)
