"""The elementwise half of a layer, fitted on a CPU in float32: as few passes over memory as torch's operators allow.

What PyTorch offers for these steps spends more time around matrix products than it must when sequences are short:
`bernoulli_` costs twenty times the random bits that it needs, and scaled dot product attention with dropout falls
back to a path with several copies. The functions here compute the same things. The three pieces are ordinary
`autograd.Function`s between ordinary `nn.Linear`s, so that whatever wraps a linear layer still works.
"""

from __future__ import annotations

from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

if TYPE_CHECKING:
    from metier.models.layers import Pass

LEVELS = 1 << 16
"""Dropout compares 16 random bits with a threshold: its share is rounded to 1/65,536, and the scale follows suit."""

BLOCK = 1 << 16
"""Entries of the first block of masks that a pass makes; the next ones are up to 16 times as large."""


class Noise:
    """Dropout masks of one forward pass.

    The bits come from NumPy's SFC64, seeded by one draw from torch's default generator: whoever restores the state of
    torch's generator gets the same masks again.
    """

    def __init__(self) -> None:
        seed = int(torch.randint(2**63 - 1, ()).item())
        self._bits = np.random.SFC64(seed)
        self._ready: dict[int, Tensor] = {}
        self._block = BLOCK

    def keep(self, share: float, size: tuple[int, ...]) -> Tensor | None:
        """A float32 mask of `size` that is 0 for a `share` of its entries and `1 / (1 - share)` elsewhere.

        None stands for a mask of ones.
        """
        dropped = round(share * LEVELS)
        if not dropped:
            return None
        count = prod(size)
        ready = self._ready.get(dropped)
        if ready is None or len(ready) < count:
            ready = self._fresh(dropped, max(count, self._block))
            self._block = min(2 * self._block, 16 * BLOCK)
        self._ready[dropped] = ready[count:]
        return ready[:count].view(size)

    def _fresh(self, dropped: int, count: int) -> Tensor:
        """Masks come in blocks: one call of each operator for several of them."""
        bits = self._bits.random_raw((count + 3) // 4).view(np.int16)[:count]
        mask = torch.empty(count, dtype=torch.float32)
        torch.ge(torch.from_numpy(bits), dropped - LEVELS // 2, out=mask)
        return mask.mul_(LEVELS / (LEVELS - dropped))


def spread(flat: Tensor, places: Tensor | None, count: int) -> Tensor:
    """`flat`, `(tokens, width)`, put in `places` among `count` rows of zeros."""
    return flat if places is None else flat.new_zeros(count, flat.shape[1]).index_copy(0, places, flat)


class DropAddNorm(torch.autograd.Function):
    """`layer_norm(x * keep + residual)`. Call as `apply(x, residual, keep, weight, bias, eps)`."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, residual: Tensor, keep: Tensor | None, weight: Tensor, bias: Tensor, eps: float
    ) -> Tensor:
        total = x + residual if keep is None else torch.addcmul(residual, x, keep)
        normed, mean, deviation = torch.native_layer_norm(total, weight.shape, weight, bias, eps)
        ctx.save_for_backward(total, keep, mean, deviation, weight, bias)
        return normed

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        total, keep, mean, deviation, weight, bias = ctx.saved_tensors
        needs = ctx.needs_input_grad
        wanted = [needs[0] or needs[1], needs[3], needs[4]]
        below, by_weight, by_bias = torch.ops.aten.native_layer_norm_backward(
            grad.contiguous(), total, weight.shape, mean, deviation, weight, bias, wanted
        )
        by_x = (below if keep is None else below * keep) if needs[0] else None
        return by_x, below if needs[1] else None, None, by_weight, by_bias, None


class Attention(torch.autograd.Function):
    """Multi-head attention over packed projections. Call as `apply(packed, shared, keep, heads)`.

    `packed` is `(tokens, 3 * width)`: queries, keys, values; `shared` says where in the rows the tokens are; `keep` is
    the dropout mask of the probabilities, `(rows * heads, length, length)` or None. Returns `(tokens, width)`.
    """

    @staticmethod
    def forward(ctx: Any, packed: Tensor, shared: Pass, keep: Tensor | None, heads: int) -> Tensor:
        rows, length, width = shared.rows, shared.length, packed.shape[1] // 3
        size = width // heads
        padded = spread(packed, shared.places, rows * length).view(rows, length, 3, heads, size)
        parts = padded.permute(2, 0, 3, 1, 4).reshape(3, rows * heads, length, size)
        query, key, value = parts.unbind()
        scores = packed.new_empty(rows * heads, length, length)
        torch.baddbmm(scores, query, key.transpose(1, 2), beta=0, alpha=size**-0.5, out=scores)
        if shared.bias is not None:
            scores.view(rows, heads, length, length).add_(shared.bias)
        shares = torch.softmax(scores, -1)
        mixed = torch.bmm(shares if keep is None else torch.mul(shares, keep, out=scores), value)
        ctx.save_for_backward(parts, shares, keep)
        ctx.shared, ctx.heads = shared, heads
        return shared.pack(mixed.view(rows, heads, length, size).transpose(1, 2).reshape(rows, length, width))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        parts, shares, keep = ctx.saved_tensors
        shared, heads = ctx.shared, ctx.heads
        rows, length, size = shared.rows, shared.length, parts.shape[3]
        query, key, value = parts.unbind()
        padded = spread(grad, shared.places, rows * length).view(rows, length, heads, size)
        grad = padded.transpose(1, 2).reshape(rows * heads, length, size)
        below = torch.empty_like(parts)
        by_query, by_key, by_value = below.unbind()
        torch.bmm((shares if keep is None else shares * keep).transpose(1, 2), grad, out=by_value)
        by_shares = torch.bmm(grad, value.transpose(1, 2))
        if keep is not None:
            by_shares.mul_(keep)
        by_scores = torch._softmax_backward_data(by_shares, shares, -1, shares.dtype)
        torch.baddbmm(by_query, by_scores, key, beta=0, alpha=size**-0.5, out=by_query)
        torch.baddbmm(by_key, by_scores.transpose(1, 2), query, beta=0, alpha=size**-0.5, out=by_key)
        below = below.view(3, rows, heads, length, size).permute(1, 3, 0, 2, 4)
        return shared.pack(below.reshape(rows, length, 3 * heads * size)), None, None, None
