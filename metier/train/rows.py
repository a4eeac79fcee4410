"""AdamW for one embedding matrix, at the cost of the rows that a batch touches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

REACH = 512
"""Steps over which momentum is followed: after as many, 0.9 ** 512 of it is left, which float32 cannot see."""


class Rows:
    """The moments of one embedding matrix, and for each of its rows the step that it has been brought up to.

    At step t a row that has had no gradient since step s moves by

        lr_t * r ** (t - s) * sqrt(1 - b2 ** t) / (1 - b1 ** t)  *  m_s / (sqrt(v_s) + eps'),    r = b1 / sqrt(b2)

    which is Adam with g = 0. (eps' = eps * sqrt(1 - b2 ** (s + 1)); in truth it grows a little from step to step,
    which matters only for gradients that are not much larger than eps.) The first part is a number per step, the same
    for all rows: `_path[s]` keeps its sum over the steps since s, `_kept[s]` the product of the decay factors up to s,
    by which each part of the sum is divided. Catching up is then a few operations a row, however many steps it skipped.

    What a row was after its last gradient stays in `_anchor`; reading a row computes its present value from there and
    changes nothing else, so that when and how often weights are read has no influence on a fit, not even on its bits.
    """

    def __init__(
        self, module: nn.Embedding, *, lr: float, decay: float, betas: tuple[float, float], eps: float
    ) -> None:
        self._module, self._weight = module, module.weight
        self._lr, self._decay, self._betas, self._eps = lr, decay, betas, eps
        self._anchor = module.weight.detach().clone()
        self._mean, self._square = torch.zeros_like(self._anchor), torch.zeros_like(self._anchor)
        self._last = torch.zeros(len(module.weight), dtype=torch.int64)
        self._shown = torch.zeros_like(self._last)
        self._path, self._kept = np.zeros(REACH), np.ones(REACH)
        self._step = 0
        self._found: tuple[Tensor, Tensor] | None = None
        module.sparse = True  # backward then yields the touched rows, not a matrix of zeros around them
        self._hooks = [
            module.register_forward_pre_hook(self._before_forward),
            module.register_state_dict_pre_hook(lambda *_: self.flush()),  # type: ignore[no-untyped-call]
            module.register_load_state_dict_pre_hook(lambda *_: self._settle()),  # type: ignore[no-untyped-call]
            module.register_load_state_dict_post_hook(lambda *_: self._adopt()),  # type: ignore[no-untyped-call]
        ]

    def close(self) -> None:
        """Brings every row up to date and leaves the module as it was found."""
        self.flush()
        self._module.sparse = False
        for hook in self._hooks:
            hook.remove()

    def _before_forward(self, module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if module.training:
            self._show(torch.unique(inputs[0]))
        else:
            self.flush()

    @torch.no_grad()
    def gather(self) -> Tensor | None:
        """The gradient of the touched rows, `(touched, width)`: summed once, and what `step` will use."""
        grad = self._weight.grad
        if grad is None:
            return None
        if self._found is None:
            if grad.is_sparse:
                values = grad._values()
                rows, where = torch.unique(grad._indices()[0], return_inverse=True)
                self._found = rows, values.new_zeros(len(rows), grad.shape[1]).index_add_(0, where, values)
            else:  # a second use of the matrix (a tied output layer) made the gradient dense
                self._found = torch.arange(len(grad)), grad
        return self._found[1]

    @torch.no_grad()
    def step(self, lr_scale: float) -> None:
        """One step for the rows that have a gradient, and the bookkeeping of one for the others."""
        self.gather()
        before, (b1, b2) = self._step, self._betas
        rate = self._lr * lr_scale
        if self._found is None:
            self._count(rate)
            return
        rows, gradient = self._found
        self._show(rows)
        self._count(rate)
        mean, square = self._moments(rows, before)
        mean.lerp_(gradient, 1 - b1)
        square.mul_(b2).addcmul_(gradient, gradient, value=1 - b2)
        weight = self._weight[rows].mul_(1 - rate * self._decay)
        scale = (square / (1 - b2**self._step)).sqrt_().add_(self._eps)
        weight.addcdiv_(mean, scale, value=-rate / (1 - b1**self._step))
        for matrix, values in ((self._weight, weight), (self._anchor, weight)):
            matrix.index_copy_(0, rows, values)
        self._keep(rows, mean, square)

    def zero_grad(self) -> None:
        """Forgets the gradient."""
        self._weight.grad = self._found = None

    def flush(self) -> None:
        """Brings every row up to date."""
        late = self._shown < self._step
        if not self._decay:
            late &= self._last > 0  # a row that was never touched has no momentum either
        self._show(late.nonzero()[:, 0])

    @torch.no_grad()
    def _show(self, rows: Tensor) -> None:
        """Brings rows up to date, computed from their anchors."""
        rows = rows[self._shown[rows] < self._step]
        if not len(rows):
            return
        last, kept = self._last[rows], torch.from_numpy(self._kept)
        path = (torch.from_numpy(self._path)[last] * kept[self._step])[:, None]
        eps = self._eps * (1 - self._betas[1] ** (last.to(torch.float64) + 1)).sqrt()[:, None]
        weight = self._anchor[rows]
        if self._decay:
            weight.mul_((kept[self._step] / kept[last]).to(weight.dtype)[:, None])
        scale = self._square[rows].sqrt_().add_(eps.to(weight.dtype))
        weight.sub_(self._mean[rows].div_(scale).mul_(path.to(weight.dtype)))
        self._weight.index_copy_(0, rows, weight)
        self._shown[rows] = self._step

    def _moments(self, rows: Tensor, step: int) -> tuple[Tensor, Tensor]:
        """Both moments of rows as they were after `step`."""
        skipped = (step - self._last[rows]).to(torch.float64)[:, None]
        mean, square = self._mean[rows], self._square[rows]
        return mean.mul_((self._betas[0] ** skipped).to(mean.dtype)), square.mul_(
            (self._betas[1] ** skipped).to(mean.dtype)
        )

    def _keep(self, rows: Tensor, mean: Tensor, square: Tensor) -> None:
        self._mean.index_copy_(0, rows, mean)
        self._square.index_copy_(0, rows, square)
        self._last[rows] = self._shown[rows] = self._step

    @torch.no_grad()
    def _settle(self) -> None:
        """Before other weights are loaded: no row owes a step, so that none is made good on what replaces it."""
        rows = (self._last > 0).nonzero()[:, 0]
        self._keep(rows, *self._moments(rows, self._step))
        self._last[:] = self._shown[:] = self._step

    @torch.no_grad()
    def _adopt(self) -> None:
        """After other weights were loaded."""
        self._anchor.copy_(self._weight)

    def _count(self, rate: float) -> None:
        """Counts a step: adds what it moves to the path of every step before it."""
        self._step += 1
        step, (b1, b2) = self._step, self._betas
        if step == len(self._path):
            self._path = np.concatenate([self._path, np.zeros(step)])
            self._kept = np.concatenate([self._kept, np.ones(step)])
        first = max(0, step - REACH)
        share = (b1 / b2**0.5) ** np.arange(step - first, 0, -1)
        self._kept[step] = self._kept[step - 1] * (1 - rate * self._decay)
        self._path[first:step] += rate * np.sqrt(1 - b2**step) / (1 - b1**step) / self._kept[step] * share

    def state(self) -> dict[str, Tensor]:
        """What `load` needs: the touched rows, or all of them where weight decay moves all."""
        rows = (self._last >= (0 if self._decay else 1)).nonzero()[:, 0]
        steps = slice(0, self._step + 1)
        return {
            "rows": rows,
            "last": self._last[rows],
            "shown": self._shown[rows],
            "mean": self._mean[rows],
            "square": self._square[rows],
            "anchor": self._anchor[rows],
            "path": torch.from_numpy(self._path[steps].copy()),
            "kept": torch.from_numpy(self._kept[steps].copy()),
        }

    @torch.no_grad()
    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state` returned; the module has its weights of that moment already."""
        rows = state["rows"]
        self._anchor.copy_(self._weight)
        self._anchor[rows] = state["anchor"]
        for own, key in ((self._last, "last"), (self._mean, "mean"), (self._square, "square"), (self._shown, "shown")):
            own.zero_()[rows] = state[key].to(own.dtype)
        self._step = len(state["path"]) - 1
        room = np.zeros(max(REACH, self._step + 1))
        self._path = np.concatenate([state["path"].numpy(), room])
        self._kept = np.concatenate([state["kept"].numpy(), room + 1])
