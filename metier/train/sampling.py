"""How many rows of each source an epoch has: as many as there are, or more evenly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def shares(counts: Sequence[int] | np.ndarray, temperature: float) -> np.ndarray:
    """The share of each source, in proportion to `count ** (1 / temperature)` (Arivazhagan et al. 2019, who take 5)."""
    sizes = np.asarray(counts, dtype=np.float64) ** (1.0 / temperature)
    found: np.ndarray = sizes / sizes.sum()
    return found


def drawn(groups: np.ndarray, temperature: float, *, seed: int, epoch: int) -> np.ndarray:
    """The units of an epoch, `(n,)`, as many as there are, of which each group has its share.

    A group is gone through again and again, shuffled anew each time, and an epoch goes on where the one before it
    stopped: none of its rows comes a second time more than another, and of a group too large for its share all have
    their turn.

    Args:
        groups: the group of each unit, `(n,)`, counted from 0.
        temperature: see `shares`.
        seed: of the fit.
        epoch: counted from 0; the same one is drawn the same way again.
    """
    counts = np.bincount(groups)
    found = []
    for group, wanted in enumerate(_whole(shares(counts, temperature) * len(groups))):
        members, first = np.flatnonzero(groups == group), epoch * wanted
        rounds = range(first // len(members), (first + wanted - 1) // len(members) + 1) if wanted else range(0)
        order = [np.random.default_rng([seed, group, turn]).permutation(members) for turn in rounds]
        if order:
            start = first - rounds.start * len(members)
            found.append(np.concatenate(order)[start : start + wanted])
    units: np.ndarray = np.concatenate(found)
    return units


def _whole(wanted: np.ndarray) -> list[int]:
    """Whole numbers with the same sum, each within one of what is wanted (largest remainders)."""
    low = np.floor(wanted).astype(np.int64)
    rest = round(float(wanted.sum())) - int(low.sum())
    low[np.argsort(low - wanted, kind="stable")[:rest]] += 1
    whole: list[int] = low.tolist()
    return whole
