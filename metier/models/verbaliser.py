"""A masked-language model that is asked for the word in a gap (pattern-exploiting training without its training)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from metier.errors import BackboneError
from metier.models.backbone import Backbone
from metier.models.hub import HubEncoder
from metier.models.quiet import quiet
from metier.models.tokeniser import Tokeniser
from metier.models.wording import Question, Wording

BATCH = 32
MASKS = ("[MASK]", "<mask>")


class MaskedEncoder(HubEncoder):
    """The encoder of a masked-language model, together with the head that predicts words.

    Weights that the head shares with the embeddings are in the state once.
    """

    def __init__(self, whole: Any) -> None:
        super().__init__(whole.base_model)
        object.__setattr__(self, "whole", whole)  # its parts are registered one by one, none of them twice
        own = {name: child for name, child in whole.named_children() if child is not whole.base_model}
        self.words_head = nn.ModuleDict(own)
        self.register_state_dict_post_hook(_once)  # type: ignore[no-untyped-call]

    @classmethod
    def of(cls, backbone: Backbone, *, dropout: float | None = None) -> MaskedEncoder:
        """From a backbone; see `load`."""
        return cls.load(backbone.folder, dropout)

    @classmethod
    def load(cls, folder: Path, dropout: float | None) -> MaskedEncoder:
        """From a folder in Hugging Face layout. Raises `BackboneError` where it holds no masked-language model."""
        from transformers import AutoModelForMaskedLM

        options = {} if dropout is None else {"hidden_dropout_prob": dropout}
        try:
            with quiet():
                whole, report = AutoModelForMaskedLM.from_pretrained(
                    str(folder),
                    use_safetensors=True,
                    trust_remote_code=False,
                    local_files_only=True,
                    output_loading_info=True,
                    **options,
                )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError, TypeError) as error:
            raise BackboneError(f"{folder} cannot be loaded: {type(error).__name__}: {error}.") from None
        if missing := sorted(report["missing_keys"]):
            raise BackboneError(
                f"{folder} names a masked-language head, but {len(missing)} of its weights are missing, among them "
                f"{missing[0]!r}.",
                expected="a folder saved with its masked-language head",
            )
        return cls(whole)

    @classmethod
    def build(cls, config: dict[str, Any]) -> MaskedEncoder:
        """Without weights, from a saved configuration."""
        from transformers import AutoConfig, AutoModelForMaskedLM

        settings = {name: value for name, value in config.items() if name != "model_type"}
        built = AutoConfig.for_model(config["model_type"], **settings)
        return cls(AutoModelForMaskedLM.from_config(built, trust_remote_code=False))

    def resize_vocabulary(self, extra: int) -> None:
        """Appends rows for new tokens, to the embeddings and to the head."""
        whole: Any = self.__dict__["whole"]
        whole.resize_token_embeddings(self.vocabulary + extra)
        self.added += extra

    def predict(self, ids: Tensor, mask: Tensor, types: Tensor) -> Tensor:
        """The logits of every word at every place, `(rows, length, vocabulary)`."""
        inputs = {"input_ids": ids, "attention_mask": mask.long()}
        if getattr(self.model.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = types
        whole: Any = self.__dict__["whole"]
        logits: Tensor = whole(**inputs).logits
        return logits


def _once(module: nn.Module, state: dict[str, Any], prefix: str, _metadata: Any) -> None:
    """Takes out of a state what is there under another name already."""
    seen = set()
    for name in [name for name in state if name.startswith(prefix)]:
        place = state[name].data_ptr(), state[name].shape
        if place in seen:
            del state[name]
        seen.add(place)


def has_head(backbone: Backbone) -> bool:
    """Whether a backbone was saved with a masked-language head."""
    return any(str(name).endswith("ForMaskedLM") for name in backbone.config.get("architectures") or ())


class Masked:
    """Scores labels by the words in the gap of a sentence (Schick & Schuetze 2021).

    A label of several tokens is scored by the mean log-probability of its tokens in as many gaps. Texts that are too
    long lose their end; the gap, and what the template says, never. Examples that do not fit are left out.
    """

    def __init__(self, encoder: MaskedEncoder, tokeniser: Tokeniser) -> None:
        self.encoder, self.tokeniser = encoder, tokeniser
        found = [tokeniser.tokenizer.token_to_id(name) for name in MASKS]
        known = [token for token in found if token is not None]
        if not known:
            raise BackboneError("The backbone's tokenizer has no mask token.", expected=" or ".join(MASKS))
        self.mask = int(known[0])

    def measured(self, found: np.ndarray) -> np.ndarray:
        """See `Scorer.measured`."""
        return np.ones(len(found), dtype=bool)

    def describe(self) -> dict[str, Any]:
        """See `Scorer.describe`; the weights are the run's own."""
        return {"way": "masked"}

    @torch.inference_mode()
    def score(self, wording: Wording, questions: Sequence[Question]) -> np.ndarray:
        """See `Scorer.score`."""
        spaced = wording.template[: wording.template.index("{label}")].endswith(" ")
        words = [self._ids((" " if spaced else "") + word) for word in wording.words]
        found = np.zeros((len(questions), len(words)))
        for gaps in sorted({len(word) for word in words}):
            labels = [at for at, word in enumerate(words) if len(word) == gaps]
            tokens = torch.tensor([words[at] for at in labels])
            for start in range(0, len(questions), BATCH):
                rows = [self._row(wording, question, gaps) for question in questions[start : start + BATCH]]
                found[start : start + BATCH, labels] = self._gaps(rows, tokens)
        return found

    def _gaps(self, rows: list[list[int]], tokens: Tensor) -> np.ndarray:
        """The mean log-probability of tokens `(labels, gaps)` in the gaps of some rows, `(rows, labels)`."""
        device = next(self.encoder.parameters()).device
        width = max(len(row) for row in rows)
        ids = torch.tensor([row + [self.tokeniser.pad] * (width - len(row)) for row in rows])
        mask = torch.arange(width) < torch.tensor([len(row) for row in rows]).unsqueeze(1)
        self.encoder.eval()
        logits = self.encoder.predict(ids.to(device), mask.to(device), torch.zeros_like(ids).to(device))
        gaps = logits[(ids == self.mask) & mask].view(len(rows), tokens.shape[1], -1).float().log_softmax(-1)
        places = torch.arange(tokens.shape[1], device=gaps.device)
        mean: np.ndarray = gaps[:, places, tokens.to(gaps.device)].mean(-1).cpu().numpy()
        return mean

    def _row(self, wording: Wording, question: Question, gaps: int) -> list[int]:
        layout, (before, between, after) = self.tokeniser.layout, map(self._ids, wording.pieces)
        start = layout.before.tolist() + self._ids(wording.instruction)
        fixed = len(start) + len(before) + len(between) + gaps + len(after) + len(layout.after)
        room = self.encoder.window - fixed
        if room < 1:
            raise BackboneError(
                f"The template and a label take {fixed} tokens.",
                expected=f"fewer than {self.encoder.window}, the backbone's window",
            )
        text = self._ids(question.text)[:room]
        shots: list[int] = []
        for shot in reversed(question.shots):  # the nearest first
            more = self._ids(wording.shown(*shot))
            if len(more) + len(shots) + len(text) > room:
                break
            shots = more + shots
        first, second = (text, [self.mask] * gaps) if wording.text_first else ([self.mask] * gaps, text)
        return [*start, *shots, *before, *first, *between, *second, *after, *layout.after.tolist()]

    def _ids(self, text: str) -> list[int]:
        """The tokens of a text; what looks like a special token in it is text."""
        ids = self.tokeniser.tokenizer.encode(text, add_special_tokens=False).ids
        return [int(token) for token in ids if token != self.mask]
