"""The fastest fp32 matrix product of this machine: what shares of it are measured against."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch

NAME = "matmul_peak"


def run(size: int = 2048, repeats: int = 12, threads: int = 0) -> dict[str, Any]:
    """GFLOP/s of `size` x `size` products, and of the products that an encoder of width 384 is made of."""
    if threads:
        torch.set_num_threads(threads)
    shapes = {"square": (size, size, size), "attend": (512, 384, 1152), "widen": (512, 384, 1536)}
    return {
        "threads": torch.get_num_threads(),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "size": size,
        "gflops": {name: gflops(*shape, repeats) for name, shape in shapes.items()},
    }


def gflops(rows: int, inner: int, columns: int, repeats: int, now: Callable[[], float] = time.perf_counter) -> float:
    """The best of `repeats` timings of `(rows, inner) @ (inner, columns)`, each at least 10 ms long."""
    left, right, out = torch.randn(rows, inner), torch.randn(inner, columns), torch.empty(rows, columns)
    cost = 2 * rows * inner * columns
    turns = max(1, round(1e9 / cost))
    torch.mm(left, right, out=out)
    best = float("inf")
    for _ in range(repeats):
        start = now()
        for _ in range(turns):
            torch.mm(left, right, out=out)
        best = min(best, (now() - start) / turns)
    return cost / best / 1e9
