"""One layer of a BERT-family encoder."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

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


def dropout(x: Tensor, share: float, training: bool) -> Tensor:
    """Sets a share of the entries to 0 and scales the others to keep the expectation (Srivastava et al. 2014)."""
    return F.dropout(x, share, training)


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

    def forward(self, hidden: Tensor, allowed: Tensor | None) -> Tensor:
        """`(rows, length, width)` to the same; `allowed` is None or bool, `(rows, 1, 1, length)`."""
        mixed = self.join(self._attention(hidden, allowed))
        hidden = self.join_norm(dropout(mixed, self.dropout, self.training) + hidden)
        narrowed = self.narrow(self.activation(self.widen(hidden)))
        return self.narrow_norm(dropout(narrowed, self.dropout, self.training) + hidden)

    def _attention(self, hidden: Tensor, allowed: Tensor | None) -> Tensor:
        rows, length, width = hidden.shape
        parts = self.attend(hidden).view(rows, length, 3, self.heads, width // self.heads)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        share = self.attention_dropout if self.training else 0.0
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=allowed, dropout_p=share)
        return mixed.transpose(1, 2).reshape(rows, length, width)
