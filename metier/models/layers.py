"""One layer of a BERT-family encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metier.models.layers_fused import Attention, DropAddNorm, Noise, spread
from metier.models.shape import Shape


def _gelu_tanh(x: Tensor) -> Tensor:
    return F.gelu(x, approximate="tanh")


ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "gelu": F.gelu,
    "gelu_new": _gelu_tanh,
    "gelu_pytorch_tanh": _gelu_tanh,
    "relu": F.relu,
    "silu": F.silu,
}


def noise_for(x: Tensor, training: bool) -> Noise | None:
    """A source of dropout masks where the fused functions apply (fitting, CPU, float32), else None."""
    plain = torch.compiler.is_compiling() or torch.is_autocast_enabled("cpu") or not torch.is_grad_enabled()
    return Noise() if training and not plain and x.device.type == "cpu" and x.dtype == torch.float32 else None


@dataclass(frozen=True)
class Pass:
    """What the layers share in one forward pass over `rows` rows of `length` tokens.

    Layers see a flat list of tokens. `places` are its positions in the padded rows where padding is left out (None: it
    is not), `bias` is added to attention scores (None, or `(rows, 1, 1, length)` with minus infinity at padding), and
    with `noise` the fused functions for fitting on a CPU are used.
    """

    rows: int
    length: int
    places: Tensor | None
    bias: Tensor | None
    noise: Noise | None

    @classmethod
    def over(cls, mask: Tensor, noise: Noise | None) -> Pass:
        """The pass over the tokens of `mask`, `(rows, length)`. Padding is left out where the functions are fused."""
        rows, length = mask.shape
        if torch.compiler.is_exporting():  # one graph for every mask
            bias = torch.zeros_like(mask, dtype=torch.float32).masked_fill(~mask, -torch.inf)
            return cls(rows, length, None, bias[:, None, None, :].expand(rows, 1, length, length), None)
        if bool(mask.all()):
            return cls(rows, length, None, None, noise)
        bias = torch.zeros(mask.shape, device=mask.device).masked_fill_(~mask, -torch.inf)[:, None, None, :]
        places = None if noise is None else mask.reshape(-1).nonzero()[:, 0]
        return cls(rows, length, places, bias, noise)

    def pack(self, padded: Tensor) -> Tensor:
        """`(rows, length, ...)` to `(tokens, ...)`."""
        flat = padded.reshape(-1, *padded.shape[2:])
        return flat if self.places is None else flat.index_select(0, self.places)

    def unpack(self, flat: Tensor) -> Tensor:
        """`(tokens, width)` to `(rows, length, width)`, 0 where a token was left out."""
        return spread(flat, self.places, self.rows * self.length).view(self.rows, self.length, -1)


class Layer(nn.Module):
    """Self-attention and a two-layer perceptron, each followed by a residual sum and a norm.

    Args:
        shape: of the encoder.
        sizes: heads and intermediate units of this layer, where it has not all of them.
    """

    def __init__(self, shape: Shape, sizes: tuple[int, int] | None = None) -> None:
        super().__init__()
        width = shape.width
        self.heads, units = sizes or (shape.heads, shape.intermediate)
        self.dropout, self.attention_dropout = shape.dropout, shape.attention_dropout
        joined = self.heads * shape.head_size
        self.activation = ACTIVATIONS[shape.activation]
        self.attend = nn.Linear(width, 3 * joined)
        self.join = nn.Linear(joined, width)
        self.join_norm = nn.LayerNorm(width, shape.eps)
        self.widen = nn.Linear(width, units)
        self.narrow = nn.Linear(units, width)
        self.narrow_norm = nn.LayerNorm(width, shape.eps)

    def forward(self, hidden: Tensor, shared: Pass, before: Tensor | None = None) -> Tensor:
        """`(tokens, width)` to the same. `before`: keys and values before each row, `(2, heads, virtual, size)`."""
        packed = self.attend(hidden)
        mixed = self.join(self._attention(packed, shared) if before is None else self._behind(packed, shared, before))
        hidden = self._sum(mixed, hidden, self.join_norm, shared.noise)
        narrowed = self.narrow(self.activation(self.widen(hidden)))
        return self._sum(narrowed, hidden, self.narrow_norm, shared.noise)

    def _attention(self, packed: Tensor, shared: Pass) -> Tensor:
        rows, length, width = shared.rows, shared.length, packed.shape[-1] // 3
        if shared.noise is not None:
            keep = shared.noise.keep(self.attention_dropout, (rows * self.heads, length, length))
            fused: Tensor = Attention.apply(packed, shared, keep, self.heads)  # type: ignore[no-untyped-call]
            return fused
        query, key, value = packed.view(rows, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        share = self.attention_dropout if self.training else 0.0
        bias = None if shared.bias is None else shared.bias.to(query.dtype)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=share)
        return mixed.transpose(1, 2).reshape(rows * length, width)

    def _behind(self, packed: Tensor, shared: Pass, before: Tensor) -> Tensor:
        """Attention of every row over virtual tokens, and over its own behind them."""
        rows, length, width = shared.rows, shared.length, packed.shape[-1] // 3
        padded = spread(packed, shared.places, rows * length).view(rows, length, 3, self.heads, width // self.heads)
        query, key, value = padded.permute(2, 0, 3, 1, 4)
        key, value = (
            torch.cat([virtual.to(own.dtype).expand(rows, -1, -1, -1), own], 2)
            for virtual, own in zip(before, (key, value), strict=True)
        )
        bias = None if shared.bias is None else F.pad(shared.bias, (before.shape[2], 0)).to(query.dtype)
        share = self.attention_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=share)
        return shared.pack(mixed.transpose(1, 2).reshape(rows, length, width))

    def _sum(self, x: Tensor, residual: Tensor, norm: nn.LayerNorm, noise: Noise | None) -> Tensor:
        if noise is not None:
            keep = noise.keep(self.dropout, tuple(x.shape))
            inputs = (x, residual, keep, norm.weight, norm.bias, norm.eps)
            fused: Tensor = DropAddNorm.apply(*inputs)  # type: ignore[no-untyped-call]
            return fused
        total: Tensor = norm(F.dropout(x, self.dropout, self.training) + residual)
        return total
