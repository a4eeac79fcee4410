"""AdamW (Loshchilov and Hutter 2019), with the embedding matrix updated row by row where tokens occur.

Half of a small encoder's parameters are its embedding matrix, and a batch touches one row in a hundred. A dense step
reads and writes all of them, and so do the gradient's zeros and its norm. Here the gradient holds the rows of the
batch only, and a row that no token touches is left alone until one does. It then first receives the steps that it
skipped: without a gradient, dense AdamW moves a row along its decaying momentum, a geometric series that is summed in
closed form. The result is that of dense AdamW, not of "lazy" Adam, which forgets those steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from metier.train.rows import Rows

EPS = 1e-8
HEADS = "heads."
"""What parameters that are no part of the encoder are called."""
BALANCE, BALANCE_RATE = "log_variance", 1e-2
"""The learned weights of the heads' losses have to cross a nat or two within a few hundred steps."""


LAYER = re.compile(r"(?:^|\.)layers?\.(\d+)\.")


def levels_of(names: Iterable[str]) -> dict[str, int]:
    """How far each parameter is from the text: 0 the embeddings, 1 the first layer, ..., above all the heads.

    What has no layer number belongs to the embeddings when it is part of the module that holds the layers.
    """
    names = list(names)
    numbered = {name: int(found[1]) + 1 for name in names if (found := LAYER.search(name))}
    holders = {LAYER.split(name)[0].split(".")[0] for name in numbered}
    top = max(numbered.values(), default=0) + 1
    return {name: numbered.get(name, 0 if "" in holders or name.split(".")[0] in holders else top) for name in names}


class Optimiser:
    """AdamW for a model. Weight decay spares whatever has one axis: biases, norms, scalars.

    Args:
        model: its parameters that require a gradient now are the ones that are trained.
        lr: the learning rate before `lr_scale` of a step and before `layer_decay`.
        weight_decay: decoupled, a step's factor is `1 - lr * weight_decay`.
        betas: decay of the first and the second moment.
        layer_decay: each layer below the head learns at this factor of the layer above it (Howard and Ruder 2018).
        head_lr: the learning rate of the heads, where it is another.
        row_modules: embeddings to update row by row; those whose weights are not on a CPU are updated densely.

    Rows are up to date in every forward pass, in `state_dict`, and after `flush`; who reads the weights otherwise (for
    an average, say) calls `flush` first. Reading changes nothing: a fit ends with the same bits however often that is.
    To resume, load the model's weights before the optimiser's state.
    """

    def __init__(
        self,
        model: nn.Module,
        lr: float,
        weight_decay: float = 0.0,
        betas: tuple[float, float] = (0.9, 0.999),
        layer_decay: float = 1.0,
        row_modules: Sequence[nn.Embedding] = (),
        head_lr: float | None = None,
    ) -> None:
        self.lr = lr
        self._names = {weight: name for name, weight in model.named_parameters() if weight.requires_grad}
        levels = levels_of(self._names.values())
        self._rows: dict[str, Rows] = {}
        groups: dict[tuple[float, float], list[nn.Parameter]] = {}
        by_rows = {module.weight: module for module in row_modules if module.weight.device.type == "cpu"}
        for weight, name in self._names.items():
            factor = layer_decay ** (max(levels.values()) - levels[name])
            if head_lr is not None and name.startswith(HEADS):
                factor = head_lr / lr if lr else 1.0
            if name == BALANCE and lr:
                factor = BALANCE_RATE / lr
            decay = weight_decay if weight.ndim > 1 else 0.0
            if weight in by_rows:
                self._rows[name] = Rows(by_rows[weight], lr=lr * factor, decay=decay, betas=betas, eps=EPS)
            else:
                groups.setdefault((factor, decay), []).append(weight)
        self._dense = [weight for group in groups.values() for weight in group]
        self._fused = all(weight.device.type in ("cpu", "cuda") for weight in self._dense)
        self._adamw = torch.optim.AdamW(
            [{"params": group, "factor": factor, "weight_decay": decay} for (factor, decay), group in groups.items()],
            lr=lr,
            betas=betas,
            eps=EPS,
            fused=self._fused,
        )

    def clip(self, max_norm: float) -> float:
        """Makes the next `step` use gradients scaled so that the norm of them all is at most `max_norm`.

        Returns what the norm was. Where the fused kernel can, it scales while it reads: one pass over memory less.
        """
        grads = [weight.grad for weight in self._dense if weight.grad is not None]
        dense = len(grads)
        grads += [values for rows in self._rows.values() if (values := rows.gather()) is not None]
        if not grads:
            return 0.0
        norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(grads)))
        found = float(norm)
        if found > max_norm:
            excess = (found + 1e-6) / max_norm
            if self._fused:
                self._divide(torch.tensor(excess))
                grads = grads[dense:]
            if grads:
                torch._foreach_div_(grads, excess)
        return found

    def step(self, lr_scale: float = 1.0) -> None:
        """One update with the learning rate `lr * lr_scale`."""
        for group in self._adamw.param_groups:
            group["lr"] = self.lr * lr_scale * group["factor"]
        self._adamw.step()
        self._divide(None)
        for rows in self._rows.values():
            rows.step(lr_scale)

    def zero_grad(self) -> None:
        """Forgets the gradients."""
        self._adamw.zero_grad(set_to_none=True)
        self._divide(None)
        for rows in self._rows.values():
            rows.zero_grad()

    def _divide(self, excess: Tensor | None) -> None:
        """What the fused step divides gradients by: the attribute through which torch's own GradScaler says so."""
        self._adamw.grad_scale = excess  # type: ignore[attr-defined]

    def flush(self) -> None:
        """Brings every row up to date, before weights are read from outside of a forward pass."""
        for rows in self._rows.values():
            rows.flush()

    def close(self) -> None:
        """The end of a fit: flushes, and leaves `row_modules` as they were found. The optimiser is of no use then."""
        for rows in self._rows.values():
            rows.close()

    def state(self) -> dict[str, Tensor]:
        """Everything that `load` needs to go on bit for bit; names are flat, tensors are not copied."""
        flat = {
            f"dense.{self._names[weight]}.{key}": value
            for weight in self._dense
            for key, value in self._adamw.state[weight].items()
        }
        for name, rows in self._rows.items():
            flat |= {f"rows.{name}.{key}": value for key, value in rows.state().items()}
        return flat

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state` of an optimiser of the same model returned."""
        for weight in self._dense:
            prefix = f"dense.{self._names[weight]}."
            moments = {key[len(prefix) :]: value.clone() for key, value in state.items() if key.startswith(prefix)}
            if moments:
                self._adamw.state[weight] = moments
        for name, rows in self._rows.items():
            prefix = f"rows.{name}."
            rows.load({key[len(prefix) :]: value for key, value in state.items() if key.startswith(prefix)})
