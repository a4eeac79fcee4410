"""Encoders of architectures that are not ours, run by transformers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metier.errors import BackboneError
from metier.models.quiet import quiet

if TYPE_CHECKING:
    from pathlib import Path

    from metier.models.adapters import Adapter
    from metier.models.adapters.tokens import Grown
    from metier.models.adapters.virtual import Prompt


def _window(model: Any) -> int:
    """The most tokens that a row may have; where positions have a padding (RoBERTa's kin), they start behind it."""
    positions = int(getattr(model.config, "max_position_embeddings", 512))
    tables = [item for name, item in model.named_modules() if name.endswith("position_embeddings")]
    paddings = [int(table.padding_idx) + 1 for table in tables if getattr(table, "padding_idx", None) is not None]
    return positions - max(paddings, default=0)


class HubEncoder(nn.Module):
    """A transformers encoder behind the interface of `Encoder`, without its frozen-prefix cache.

    Only architectures that transformers itself ships are built; code of a model repository never runs.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model
        config = model.config
        self.width = int(config.hidden_size)
        self.depth = int(getattr(config, "num_hidden_layers", 0))
        self._window = _window(model)
        self.prompt: Prompt | None = None
        self.adapter: Adapter | None = None
        self.frozen_weights: Mapping[str, Tensor] = {}
        """Those that other encoders have, too; see `backbone.load_frozen`."""
        self.added = 0
        """Rows of the token embedding that no pretraining has seen."""

    @classmethod
    def load(cls, folder: Path, dropout: float | None) -> HubEncoder:
        """From a folder in Hugging Face layout. Raises `BackboneError` where transformers cannot build it."""
        from transformers import AutoModel

        options = {} if dropout is None else {"hidden_dropout_prob": dropout}
        try:
            with quiet():
                model = AutoModel.from_pretrained(
                    str(folder), use_safetensors=True, trust_remote_code=False, local_files_only=True, **options
                )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError, AttributeError, TypeError) as error:
            raise BackboneError(f"{folder} cannot be loaded: {type(error).__name__}: {error}.") from None
        return cls(model)

    @classmethod
    def build(cls, config: dict[str, Any]) -> HubEncoder:
        """Without weights, from a saved configuration."""
        from transformers import AutoConfig, AutoModel

        settings = {name: value for name, value in config.items() if name != "model_type"}
        built = AutoConfig.for_model(config["model_type"], **settings)
        return cls(AutoModel.from_config(built, trust_remote_code=False))

    def resize_vocabulary(self, extra: int) -> None:
        """Appends rows for new tokens."""
        self.model.resize_token_embeddings(self.model.get_input_embeddings().num_embeddings + extra)
        self.added += extra

    @property
    def window(self) -> int:
        """The most tokens that a row may have; virtual tokens stand in it, too."""
        return self._window - (0 if self.prompt is None else self.prompt.tokens)

    @property
    def words(self) -> nn.Embedding | Grown:
        """The token embedding."""
        found: nn.Embedding | Grown = self.model.get_input_embeddings()
        return found

    def replace_words(self, words: nn.Embedding | Grown) -> None:
        """Takes another token embedding."""
        self.model.set_input_embeddings(words)
        self.model.config.vocab_size = int(words.num_embeddings)

    @property
    def vocabulary(self) -> int:
        """Rows of the token embedding."""
        return int(self.words.num_embeddings)

    def forward(
        self, ids: Tensor, mask: Tensor, types: Tensor | None = None, perturbation: Tensor | None = None
    ) -> Tensor:
        """Hidden states after the last layer, `(rows, length, width)`; see `Encoder.forward`."""
        virtual = None if self.prompt is None else self.prompt()
        first = 0 if virtual is None else len(virtual)
        inputs: dict[str, Tensor] = {"attention_mask": F.pad(mask, (first, 0), value=True).long()}
        if perturbation is None and virtual is None:
            inputs["input_ids"] = ids
        else:
            given = self.words(ids) if perturbation is None else self.words(ids) + perturbation
            before = [] if virtual is None else [virtual.expand(len(ids), -1, -1)]
            inputs["inputs_embeds"] = torch.cat([*before, given], 1)
        if types is not None and getattr(self.model.config, "type_vocab_size", 0) > 1:
            inputs["token_type_ids"] = F.pad(types, (first, 0))
        hidden: Tensor = self.model(**inputs).last_hidden_state
        return hidden[:, first:]

    def freeze(self, layers: int) -> None:
        """Stops gradients of the embeddings and of the lowest `layers` layers."""
        stacks = [item for item in self.model.modules() if isinstance(item, nn.ModuleList) and len(item) == self.depth]
        if not stacks:
            raise BackboneError(
                f"The layers of a {self.model.config.model_type} cannot be told apart.", hint="--method full"
            )
        for part in (self.words, *stacks[0][:layers]):
            part.requires_grad_(False)
