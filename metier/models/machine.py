"""What the computation runs on: device, precision, threads, processes."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from metier.errors import RecipeError

BF16 = ("amx_bf16", "avx512_bf16", "bf16", "sve_bf16")
"""Instructions of a CPU that multiply bfloat16 twice as fast as float32 (AMD Zen 4: 1.8 - 2.4 times) or faster; without
any it takes a hundred times as long."""
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True, slots=True)
class Machine:
    """Where tensors are and how they are multiplied. `world` processes share a fit; this is number `rank`."""

    device: torch.device
    dtype: torch.dtype
    threads: int
    rank: int = 0
    world: int = 1

    @property
    def precision(self) -> str:
        """`fp32`, `bf16`, or of a run that `metier optimise` made `fp16`."""
        return next(name for name, dtype in DTYPES.items() if dtype == self.dtype)

    def autocast(self) -> AbstractContextManager[object]:
        """Mixed precision where it pays, nothing elsewhere."""
        if self.dtype == torch.float32:
            return nullcontext()
        return torch.autocast(self.device.type, self.dtype)

    def average(self, gradients: list[Tensor]) -> None:
        """Replaces gradients by their mean over all processes, in place."""
        if self.world == 1:
            return
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        torch.distributed.all_reduce(flat)
        flat /= self.world
        for gradient, part in zip(gradients, torch.split(flat, [item.numel() for item in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def share(self, tensors: Iterable[Tensor]) -> None:
        """Gives every process the tensors of the first, in place."""
        if self.world > 1:
            for tensor in tensors:
                torch.distributed.broadcast(tensor, src=0)

    def verdicts(self, own: list[bool]) -> list[bool]:
        """What the first process found, in every process; as many everywhere."""
        if self.world == 1:
            return own
        shared = torch.tensor(own, dtype=torch.uint8, device=self.device)
        self.share([shared])
        return [bool(value) for value in shared.tolist()]

    def own_noise(self, seed: int) -> None:
        """Gives every process but the first another state of torch's generator: they drop other units."""
        if self.rank:
            torch.manual_seed(seed + self.rank * 1_000_003)

    def noise(self) -> list[Tensor]:
        """The state of every generator that dropout draws from here: torch's own, and the device's."""
        found = [torch.get_rng_state()]
        if self.device.type == "cuda":
            found.append(torch.cuda.get_rng_state(self.device))
        elif self.device.type == "mps":
            found.append(torch.mps.get_rng_state())
        return found

    def repeat(self, noise: list[Tensor]) -> None:
        """Puts the generators where they were when `noise` gave their state: the next pass drops the same units."""
        torch.set_rng_state(noise[0])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(noise[1], self.device)
        elif self.device.type == "mps":
            torch.mps.set_rng_state(noise[1])

    def leave(self) -> None:
        """Waits for all processes and parts from them: what follows is the first one's alone."""
        if self.world > 1:
            from accelerate import PartialState

            torch.distributed.barrier()
            PartialState().destroy_process_group()


def processes() -> int:
    """How many processes `torchrun` or `accelerate launch` started to share a fit."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def machine(device: str = "auto", precision: str = "auto", threads: int = 0, *, shared: bool = False) -> Machine:
    """The machine that a recipe asks for, or the best that there is.

    With `shared`, the processes that `torchrun` or `accelerate launch` started are joined. Raises `RecipeError` for a
    device that is not there, and for fewer than no threads.
    """
    if threads < 0:
        raise RecipeError(f"There cannot be {threads} threads.", expected="a number above 0, or 0 for all")
    if threads:
        torch.set_num_threads(threads)
    rank, world = _join(device) if shared and processes() > 1 else (0, 1)
    name = device
    if device == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        found = torch.device(name)
        if found.type == "cuda" and world > 1:
            found = torch.device("cuda", int(os.environ.get("LOCAL_RANK", rank)))
        torch.zeros(1, device=found)
    except (RuntimeError, AssertionError):
        raise RecipeError(f"There is no device {device!r} here.", expected="auto, cpu, cuda, cuda:N or mps") from None
    return Machine(found, _dtype(found, precision), torch.get_num_threads(), rank, world)


def _join(device: str) -> tuple[int, int]:
    from accelerate import PartialState

    state = PartialState(cpu=device == "cpu" or not torch.cuda.is_available())
    return int(state.process_index), int(state.num_processes)


def _dtype(device: torch.device, precision: str) -> torch.dtype:
    if precision != "auto":
        return DTYPES[precision]
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float32
    if device.type != "cpu":
        return torch.float32
    return torch.bfloat16 if _multiplies_bf16() else torch.float32


def _multiplies_bf16() -> bool:
    """What the CPU can do, and not what it does at the moment: a fit goes on in the precision that it began in. Older
    releases of torch do not tell."""
    tell: Callable[[], Mapping[str, object]] = getattr(torch.cpu, "get_capabilities", dict)
    return any(tell().get(name, False) for name in BF16)


def cpu_rate(rows: int = 512, inner: int = 384, columns: int = 1536, tries: int = 5) -> float:
    """Floating-point operations a second of this CPU on matrices of an encoder's shape, in float32, the best of some
    tries."""
    left, right = torch.ones(rows, inner), torch.ones(inner, columns)
    best = float("inf")
    for _ in range(tries):
        start = time.perf_counter()
        left @ right
        best = min(best, time.perf_counter() - start)
    return 2.0 * rows * inner * columns / best


def versions() -> dict[str, str]:
    """What a fit must find unchanged to go on bit for bit."""
    return {"torch": str(torch.__version__)}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Torch's generator at `seed` inside, as it was before outside."""
    before = torch.get_rng_state()
    torch.manual_seed(seed)
    try:
        yield
    finally:
        torch.set_rng_state(before)
