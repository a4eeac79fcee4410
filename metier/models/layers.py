"""One layer of a BERT-family encoder."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from metier.models.layers_fused import Attention, DropAddNorm, Noise
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


class Layer(nn.Module):
    """Self-attention and a two-layer perceptron, each followed by a residual sum and a norm."""

    def __init__(self, shape: Shape) -> None:
        super().__init__()
        width = shape.width
        self.heads, self.dropout, self.attention_dropout = shape.heads, shape.dropout, shape.attention_dropout
        self.activation = ACTIVATIONS[shape.activation]
        self.attend = nn.Linear(width, 3 * width)
        self.join = nn.Linear(width, width)
        self.join_norm = nn.LayerNorm(width, shape.eps)
        self.widen = nn.Linear(width, shape.intermediate)
        self.narrow = nn.Linear(shape.intermediate, width)
        self.narrow_norm = nn.LayerNorm(width, shape.eps)

    def forward(self, hidden: Tensor, bias: Tensor | None, noise: Noise | None) -> Tensor:
        """`(rows, length, width)` to the same.

        `bias` is added to the attention scores: None, or `(rows, 1, 1, length)` with minus infinity at padding.
        `noise` chooses the fused functions for fitting on a CPU; without it torch's own are used.
        """
        mixed = self.join(self._attention(self.attend(hidden), bias, noise))
        hidden = self._sum(mixed, hidden, self.join_norm, noise)
        narrowed = self.narrow(self.activation(self.widen(hidden)))
        return self._sum(narrowed, hidden, self.narrow_norm, noise)

    def _attention(self, packed: Tensor, bias: Tensor | None, noise: Noise | None) -> Tensor:
        rows, length, width = packed.shape[0], packed.shape[1], packed.shape[2] // 3
        if noise is not None:
            keep = noise.keep(self.attention_dropout, (rows * self.heads, length, length))
            fused: Tensor = Attention.apply(packed, bias, keep, self.heads)  # type: ignore[no-untyped-call]
            return fused
        query, key, value = packed.view(rows, length, 3, self.heads, width // self.heads).permute(2, 0, 3, 1, 4)
        share = self.attention_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=bias, dropout_p=share)
        return mixed.transpose(1, 2).reshape(rows, length, width)

    def _sum(self, x: Tensor, residual: Tensor, norm: nn.LayerNorm, noise: Noise | None) -> Tensor:
        if noise is not None:
            keep = noise.keep(self.dropout, tuple(x.shape))
            inputs = (x, residual, keep, norm.weight, norm.bias, norm.eps)
            fused: Tensor = DropAddNorm.apply(*inputs)  # type: ignore[no-untyped-call]
            return fused
        total: Tensor = norm(F.dropout(x, self.dropout, self.training) + residual)
        return total
