"""A BERT-family encoder: absolute positions, the norm after each residual sum (Devlin et al. 2019; Liu et al. 2019)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metier.models import foreign
from metier.models.layers import Layer, Pass, noise_for
from metier.models.shape import Shape

if TYPE_CHECKING:
    from metier.models.adapters import Adapter
    from metier.models.adapters.tokens import Grown
    from metier.models.adapters.virtual import Prefix, Prompt

__all__ = ["Encoder", "Shape"]


class Encoder(nn.Module):
    """Token ids to hidden states.

    A row is one window of a text, padded on its right. Initial weights and dropout come from torch's default
    generator alone: the same generator state gives the same numbers, bit for bit, on a CPU.
    """

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        self.shape = shape
        self.words: nn.Embedding | Grown = nn.Embedding(shape.vocabulary, shape.width)
        self.places = nn.Embedding(shape.positions, shape.width)
        self.kinds = nn.Embedding(shape.types, shape.width) if shape.types else None
        self.norm = nn.LayerNorm(shape.width, shape.eps)
        self.layers = nn.ModuleList(Layer(shape, sizes) for sizes in shape.sizes)
        self.prompt: Prompt | None = None
        self.before: Prefix | None = None
        self.adapter: Adapter | None = None
        self.frozen_weights: Mapping[str, Tensor] = {}
        """Those that other encoders have, too; see `backbone.load_frozen`."""
        self.added = 0
        """Rows of the token embedding that no pretraining has seen."""
        self.reset()

    @classmethod
    def from_foreign(cls, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> Encoder:
        """An encoder with the weights of another library's checkpoint (`model.safetensors` and `config.json`)."""
        encoder = cls(foreign.shape(config))
        encoder.load_weights(state, config)
        return encoder

    @property
    def width(self) -> int:
        return self.shape.width

    @property
    def vocabulary(self) -> int:
        """Rows of the token embedding."""
        return int(self.words.num_embeddings)

    @property
    def depth(self) -> int:
        return self.shape.depth

    @property
    def window(self) -> int:
        """The most tokens that a row may have."""
        return self.shape.positions - self.shape.position_offset

    def reset(self) -> None:
        """Fresh weights: normal with a deviation of 0.02, biases 0, norms 1."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.normal_(module.weight, std=0.02)
            elif isinstance(module, nn.LayerNorm):
                nn.init.ones_(module.weight)
            if isinstance(module, nn.Linear | nn.LayerNorm):
                nn.init.zeros_(module.bias)

    def load_weights(self, state: Mapping[str, Tensor], config: Mapping[str, Any]) -> None:
        """Copies in the weights of another library's checkpoint. Raises `BackboneError` where some are missing."""
        self.load_state_dict(foreign.own_weights(state, config))

    def resize_vocabulary(self, extra: int) -> None:
        """Appends `extra` rows for new tokens, drawn around the mean of the known ones; before an optimiser exists."""
        old = self.words.weight.detach()
        spread, mean = torch.std_mean(old, dim=0)
        fresh = mean + spread * torch.randn(extra, self.width, dtype=old.dtype, device=old.device)
        grown = nn.Embedding(len(old) + extra, self.width, _weight=torch.cat([old, fresh]))
        grown.weight.requires_grad_(self.words.weight.requires_grad)
        self.words, self.added = grown, self.added + extra
        self.shape = replace(self.shape, vocabulary=len(old) + extra)

    def replace_words(self, words: nn.Embedding | Grown) -> None:
        """Takes another token embedding."""
        self.words, self.shape = words, replace(self.shape, vocabulary=int(words.num_embeddings))

    def embed(self, ids: Tensor, types: Tensor | None, mask: Tensor) -> Tensor:
        """The input of the first layer.

        Args:
            ids: token ids, `(rows, length)`, int64.
            types: which text of a pair each token belongs to, like `ids`; None means 0 everywhere.
            mask: `(rows, length)`, true where there is a token.

        Returns:
            `(rows, length, width)`.
        """
        return self._embed(ids, types, Pass.over(mask, None)).view(*ids.shape, self.width)

    def forward(
        self,
        ids: Tensor,
        mask: Tensor,
        types: Tensor | None = None,
        *,
        start: int = 0,
        hidden: Tensor | None = None,
        perturbation: Tensor | None = None,
    ) -> Tensor:
        """Hidden states after the last layer, `(rows, length, width)`; those of padding mean nothing.

        With `hidden` (what `prefix(..., upto=start)` returned) only the layers from `start` on are computed.
        `perturbation`, `(rows, length, width)`, is added to the embeddings of the tokens.
        """
        return self._run(ids, mask, types, range(start, self.depth), hidden, perturbation)

    def prefix(self, ids: Tensor, mask: Tensor, types: Tensor | None = None, upto: int = 0) -> Tensor:
        """Hidden states after the first `upto` layers, `(rows, length, width)`: what frozen layers give once."""
        return self._run(ids, mask, types, range(upto), None)

    def _run(
        self,
        ids: Tensor,
        mask: Tensor,
        types: Tensor | None,
        layers: range,
        hidden: Tensor | None,
        perturbation: Tensor | None = None,
    ) -> Tensor:
        shared = Pass.over(mask, noise_for(self.words.weight, self.training))
        flat = self._embed(ids, types, shared, perturbation) if hidden is None else shared.pack(hidden)
        before = None if self.before is None else self.before()
        first = 0
        if self.prompt is not None and layers.start == 0:
            flat, shared, first = self._prompted(flat, shared, mask)
        for index in layers:
            flat = self.layers[index](flat, shared, None if before is None else before[index])
        return shared.unpack(flat)[:, first:]

    def _prompted(self, flat: Tensor, shared: Pass, mask: Tensor) -> tuple[Tensor, Pass, int]:
        """Embedded tokens with virtual ones before each row, the pass over both, how many virtual ones there are."""
        assert self.prompt is not None
        virtual = self._normed(self.prompt(), shared)
        first = len(virtual)
        longer = Pass.over(F.pad(mask, (first, 0), value=True), shared.noise)
        rows = torch.cat([virtual.expand(shared.rows, -1, -1), shared.unpack(flat)], 1)
        return longer.pack(rows), longer, first

    def _embed(self, ids: Tensor, types: Tensor | None, shared: Pass, perturbation: Tensor | None = None) -> Tensor:
        """`(tokens, width)` for the tokens that the pass computes."""
        length = ids.shape[1]
        if length > self.window:
            raise ValueError(f"{length} tokens do not fit a window of {self.window}")
        exporting = torch.compiler.is_exporting()
        if types is not None and not exporting and types.device.type == "cpu" and not bool(types.any()):
            types = None  # the row of type 0 is then added once, not looked up for every token
        around = self.places.weight[self.shape.position_offset :][:length]
        if self.kinds is not None and types is None:
            around = around + self.kinds.weight[0]
        where = torch.arange(length, device=ids.device).expand_as(ids)
        hidden = self.words(shared.pack(ids)) + F.embedding(shared.pack(where), around)
        if self.kinds is not None and types is not None:
            hidden = hidden + self.kinds(shared.pack(types))
        if perturbation is not None:
            hidden = hidden + shared.pack(perturbation)
        return self._normed(hidden, shared)

    def _normed(self, hidden: Tensor, shared: Pass) -> Tensor:
        """What enters the first layer of summed embeddings `(tokens, width)`."""
        normed: Tensor = self.norm(hidden)
        if shared.noise is None:
            return F.dropout(normed, self.shape.dropout, self.training)
        keep = shared.noise.keep(self.shape.dropout, tuple(normed.shape))
        return normed if keep is None else normed * keep
