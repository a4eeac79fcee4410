"""LoRA (Hu et al. 2021) and AdaLoRA (Zhang et al. 2023): products of thin matrices beside frozen linear layers.

The layers are peft's. What is ours is how LoRA is computed on a CPU: while it is fitted the product is added to the
weight once a pass, instead of to the output for every token, so that a layer costs one matrix product forwards, one
backwards and four thin ones; afterwards it is added to the output in the pass that multiplies.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from peft import AdaLoraConfig, AdaLoraModel, LoraConfig, inject_adapter_in_model
from peft.tuners.lora.layer import Linear as LoraLinear
from peft.tuners.lora.layer import LoraLayer
from torch import Tensor, nn

from metier.recipe import AdapterPart

NAME = "default"
"""What peft calls the only adapter of a network."""
ORTHOGONAL = 0.1
"""Gamma, the weight of AdaLoRA's regulariser."""
INITIAL = 1.5
"""How many times the final rank AdaLoRA starts with."""
WARM, FINAL = 0.1, 0.3
"""The shares of the steps before the first rank is taken away and after the last one (Zhang et al. 2023, sec. 3.3)."""


class Folded(torch.autograd.Function):
    """`x @ (weight + scale * up @ down).T + bias` with gradients of `x`, `down` and `up` alone.

    Call as `apply(x, weight, bias, down, up, scale)`; `x` is `(tokens, inputs)`, `weight` `(outputs, inputs)`, `down`
    `(rank, inputs)`, `up` `(outputs, rank)`.
    """

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, down: Tensor, up: Tensor, scale: float
    ) -> Tensor:
        whole = torch.addmm(weight, up, down, alpha=scale)
        ctx.save_for_backward(x, whole, down, up)
        ctx.scale = scale
        return F.linear(x, whole, bias)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, whole, down, up = ctx.saved_tensors
        needs = ctx.needs_input_grad
        by_x = grad @ whole if needs[0] else None
        by_down = ((up.t() @ grad.t()) @ x).mul_(ctx.scale) if needs[3] else None
        by_up = ((down @ x.t()) @ grad).mul_(ctx.scale).t() if needs[4] else None
        return by_x, None, None, by_down, by_up, None


class FoldedLinear(LoraLinear):  # type: ignore[misc]
    """peft's LoRA layer, computed with fewer passes over memory where that is the same thing."""

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        """`(..., inputs)` to `(..., outputs)`."""
        found: Tensor
        if not self._plain(x):
            found = super().forward(x, *args, **kwargs)
            return found
        layer, down, up, scale = self.base_layer, self.lora_A[NAME].weight, self.lora_B[NAME].weight, self.scaling[NAME]
        flat = x.reshape(-1, x.shape[-1])
        if torch.is_grad_enabled():
            found = Folded.apply(flat, layer.weight, layer.bias, down, up, scale)  # type: ignore[no-untyped-call]
        else:
            found = layer(flat).addmm_(F.linear(flat, down), up.t(), alpha=scale)
        return found.view(*x.shape[:-1], -1)

    def _plain(self, x: Tensor) -> bool:
        """Float32 on a CPU with nothing but the product to add: no dropout of its own, no compiler, no autocast."""
        if self.merged or self.disable_adapters or not isinstance(self.lora_dropout[NAME], nn.Identity):
            return False
        plain = x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
        return plain and not torch.compiler.is_compiling()


def lora(encoder: nn.Module, names: list[str], part: AdapterPart) -> None:
    """Puts LoRA beside the linear layers of these names. The product starts at 0."""
    config = LoraConfig(
        r=part.rank, lora_alpha=part.rank * part.scale, lora_dropout=part.dropout, target_modules=names, bias="none"
    )
    config._register_custom_module({nn.Linear: FoldedLinear})
    inject_adapter_in_model(config, encoder, NAME)


class Ranks:
    """AdaLoRA beside the linear layers of an encoder: their ranks are taken away where they matter least.

    Every product is `P diag(E) Q`. A step adds `ORTHOGONAL` times the mean of `|P'P - I|^2 + |QQ' - I|^2` to the loss;
    peft's allocator scores every triplet by its smoothed sensitivity and sets the least important entries of E to 0.
    """

    def __init__(self, encoder: nn.Module, names: list[str], part: AdapterPart) -> None:
        rank = max(part.rank + 1, round(INITIAL * part.rank))
        config = AdaLoraConfig(
            init_r=rank, target_r=part.rank, lora_alpha=rank * part.scale, lora_dropout=part.dropout,
            target_modules=names, total_step=2, bias="none",
        )  # fmt: skip
        self.tuner = AdaLoraModel(encoder, config, NAME)
        self.factors = [
            weight for name, weight in encoder.named_parameters() if ".lora_A." in name or ".lora_B." in name
        ]

    def plan(self, total: int) -> None:
        """Told once how many steps the fit has."""
        config = self.tuner.peft_config[NAME]
        config.total_step = total
        config.tfinal = min(total - 1, max(1, round(FINAL * total)))
        config.tinit = min(round(WARM * total), total - config.tfinal - 1)

    def term(self) -> Tensor:
        """The regulariser of Zhang et al. (2023, eq. 4), the mean over the factors as in the authors' code."""
        found = [
            (small - torch.eye(len(small), device=small.device)).square().sum()
            for small in (_gram(weight) for weight in self.factors)
        ]
        return ORTHOGONAL * torch.stack(found).mean()

    def after_step(self, step: int) -> None:
        """Scores, and takes ranks away; `step` counts from 0. Gradients of the step are still there."""
        if all(weight.grad is not None for weight in self.factors):
            self.tuner.update_and_allocate(step)

    def state(self) -> dict[str, Tensor]:
        """What the allocator remembers."""
        allocator, pattern = self.tuner.rankallocator, self.tuner.peft_config[NAME].rank_pattern or {}
        found = {f"pattern/{name}": torch.tensor(kept) for name, kept in pattern.items()}
        for group in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
            found |= {f"{group}/{name}": tensor for name, tensor in getattr(allocator, group).items()}
        return found

    def load(self, state: Mapping[str, Tensor]) -> None:
        """Takes over what `state` returned."""
        allocator = self.tuner.rankallocator
        allocator.reset_ipt()
        pattern = {}
        for key, tensor in state.items():
            group, _, name = key.partition("/")
            if group == "pattern":
                pattern[name] = tensor.tolist()
            else:
                getattr(allocator, group)[name] = tensor.clone()
        self.tuner.peft_config[NAME].rank_pattern = pattern or None


def _gram(weight: Tensor) -> Tensor:
    """The inner products of the thin axis, `(rank, rank)`."""
    return weight @ weight.t() if weight.shape[0] < weight.shape[1] else weight.t() @ weight


@torch.no_grad()
def fold(encoder: nn.Module) -> None:
    """Adds every product to its weight and leaves plain linear layers. Weights that were shared are copied first."""
    for name, layer in list(encoder.named_modules()):
        if isinstance(layer, LoraLayer):
            plain = layer.get_base_layer()
            plain.weight = nn.Parameter(plain.weight + layer.get_delta_weight(NAME))
            encoder.set_submodule(name, plain)
