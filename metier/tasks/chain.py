"""Sequences of tags, many documents at once: the best legal path, and how probable a stretch of it is.

A linear chain with one score a tag at each word and one a transition (Lafferty et al. 2001). Documents of a block are
sorted by length, longest first, so that those still running at a word are always the first rows: nothing is computed
for padding.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

FORBIDDEN = -1e9
BLOCK = 400_000
"""Transition scores that one step of a block may hold; keeps them in the processor's cache and memory bounded."""


@dataclass(frozen=True)
class Chain:
    """What may follow what: `transitions` `(from, to)` and `start` `(tags,)`, added to the scores of the words."""

    transitions: np.ndarray
    start: np.ndarray


def bio(types: int, learned: np.ndarray | None = None) -> Chain:
    """The chain of BIO tags `O, B-0, I-0, B-1, ...`: `I` only after the `B` or `I` of its own type."""
    tags = 2 * types + 1
    transitions = np.zeros((tags, tags)) if learned is None else learned.astype(np.float64)
    start = np.zeros(tags)
    for inside in range(2, tags, 2):
        legal = np.isin(np.arange(tags), (inside - 1, inside))
        transitions[~legal, inside] = FORBIDDEN
        start[inside] = FORBIDDEN
    return Chain(transitions, start)


@dataclass(frozen=True)
class Solved:
    """One document: its best path, the path's log-probability, and the sums that spans are scored from."""

    path: np.ndarray
    log_probability: float
    scores: np.ndarray
    forward: np.ndarray
    backward: np.ndarray
    chain: Chain

    def span(self, first: int, last: int) -> float:
        """The log-probability that exactly the words `first` to `last` (inclusive) form an entity of their type.

        The sum over all sequences that begin the entity at `first`, continue it to `last` and do not continue it after.
        """
        words, begin = len(self.path), self.path[first]
        inside = begin + 1
        total = self.forward[first, begin] + self.scores[first + 1 : last + 1, inside].sum()
        tag = inside if last > first else begin
        if last > first:
            moves = self.chain.transitions
            total += moves[begin, inside] + (last - first - 1) * moves[inside, inside]
        if last + 1 < words:
            after = self.chain.transitions[tag] + self.scores[last + 1] + self.backward[last + 1]
            after = np.delete(after, inside)
            total += after.max() + np.log(np.exp(after - after.max()).sum())
        ends = self.forward[-1]
        return float(min(0.0, total - ends.max() - np.log(np.exp(ends - ends.max()).sum())))


def solve(scores: Sequence[np.ndarray], chain: Chain) -> list[Solved]:
    """The best legal path of each document.

    Args:
        scores: log-scores `(words, tags)` of each document, which must have words.
        chain: what may follow what.
    """
    solved: dict[int, Solved] = {}
    for rows in _blocks(scores, len(chain.start)):
        lengths = np.array([len(scores[row]) for row in rows])
        table = np.zeros((lengths[0], len(rows), len(chain.start)))
        for at, row in enumerate(rows):
            table[: lengths[at], at] = scores[row]
        live = [int((lengths > step).sum()) for step in range(lengths[0])]
        paths, best = _viterbi(table, live, lengths, chain)
        forward = _forward(table, live, chain)
        backward = _backward(table, live, chain)
        for at, row in enumerate(rows):
            words = lengths[at]
            ends = forward[words - 1, at]
            log_sum = ends.max() + np.log(np.exp(ends - ends.max()).sum())
            sums = forward[:words, at], backward[:words, at]
            solved[row] = Solved(
                paths[:words, at], float(min(0.0, best[at] - log_sum)), table[:words, at], *sums, chain=chain
            )
    return [solved[row] for row in range(len(scores))]


def _blocks(scores: Sequence[np.ndarray], tags: int) -> Iterator[list[int]]:
    """Documents from the longest to the shortest, as many at once as `BLOCK` allows."""
    order = sorted(range(len(scores)), key=lambda row: -len(scores[row]))
    size = max(1, BLOCK // tags**2)
    for begin in range(0, len(order), size):
        yield order[begin : begin + size]


def _viterbi(table: np.ndarray, live: list[int], lengths: np.ndarray, chain: Chain) -> tuple[np.ndarray, np.ndarray]:
    """The best paths `(words, documents)` and their scores `(documents,)` (Viterbi 1967)."""
    steps, count, tags = table.shape
    came_from = np.zeros((steps, count, tags), dtype=np.int16)
    best = table[0] + chain.start
    for step in range(1, steps):
        n = live[step]
        moves = best[:n, :, None] + chain.transitions
        came_from[step, :n] = moves.argmax(axis=1)
        best[:n] = moves.max(axis=1) + table[step, :n]
    paths = np.zeros((steps, count), dtype=np.int64)
    last = best.argmax(axis=1)
    paths[lengths - 1, np.arange(count)] = last
    for step in range(steps - 1, 0, -1):
        here = np.arange(live[step])
        paths[step - 1, here] = came_from[step, here, paths[step, here]]
    return paths, best[np.arange(count), last]


def _forward(table: np.ndarray, live: list[int], chain: Chain) -> np.ndarray:
    """Log-sums over all beginnings that end in a tag at a word, `(words, documents, tags)`."""
    moves = np.exp(np.maximum(chain.transitions, -700.0)) * (chain.transitions > FORBIDDEN / 2)
    sums = np.full(table.shape, FORBIDDEN)
    sums[0] = table[0] + chain.start
    for step in range(1, len(table)):
        n = live[step]
        before = sums[step - 1, :n]
        top = before.max(axis=1, keepdims=True)
        sums[step, :n] = np.log(np.maximum(np.exp(before - top) @ moves, 1e-300)) + top + table[step, :n]
    return sums


def _backward(table: np.ndarray, live: list[int], chain: Chain) -> np.ndarray:
    """Log-sums over all endings that follow a tag at a word, `(words, documents, tags)`."""
    moves = np.exp(np.maximum(chain.transitions, -700.0)) * (chain.transitions > FORBIDDEN / 2)
    sums = np.zeros(table.shape)
    for step in range(len(table) - 2, -1, -1):
        n = live[step + 1]
        after = sums[step + 1, :n] + table[step + 1, :n]
        top = after.max(axis=1, keepdims=True)
        sums[step, :n] = np.log(np.maximum(np.exp(after - top) @ moves.T, 1e-300)) + top
    return sums
