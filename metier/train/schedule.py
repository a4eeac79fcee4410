"""Learning-rate schedules as functions of progress."""

from __future__ import annotations

from math import cos, pi


def scale(progress: float, *, warmup: float, shape: str) -> float:
    """The factor of the learning rate when the share `progress` of the fit is done.

    Rises linearly from 0 to 1 over the first `warmup`, then falls to 0 (`linear`; `cosine`, Loshchilov & Hutter 2017)
    or stays (`constant`).
    """
    if progress < warmup:
        return progress / warmup
    rest = min(1.0, (progress - warmup) / max(1e-9, 1.0 - warmup))
    if shape == "constant":
        return 1.0
    return 0.5 * (1.0 + cos(pi * rest)) if shape == "cosine" else 1.0 - rest


def cyclic(progress: float, *, warmup: float, cycles: int) -> float:
    """As `scale` with the shape `cosine`, but `cycles` times one after the other (Huang et al. 2017, eq. 2).

    Only the first warms up, over the share `warmup` of its own length.
    """
    number, rest = divmod(progress * cycles, 1.0)
    return scale(rest, warmup=0.0 if number else warmup, shape="cosine")
