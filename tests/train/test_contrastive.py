"""Pairs of texts and the loss that draws them together."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from metier.models.machine import Machine
from metier.tasks.classify import Classify
from metier.tasks.multilabel import Multilabel
from metier.tasks.score import Score
from metier.train.contrastive import Pairs, alike

CPU = Machine(torch.device("cpu"), torch.float32, 1)


@dataclass
class Rows:
    """Only what `Pairs` asks of a table."""

    tasks: dict[str, Any]
    targets: dict[str, list[np.ndarray]]
    present: dict[str, np.ndarray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, values in self.targets.items():
            self.present.setdefault(name, np.ones(len(values), dtype=bool))


def classes(*counts: int) -> Rows:
    labels = [str(number) for number in range(len(counts))]
    return Rows(
        {"y": Classify(labels)},
        {"y": [np.array(number) for number, count in enumerate(counts) for _ in range(count)]},
    )


def met(rows: Rows, epochs: int, size: int = 16) -> list[tuple[int, int]]:
    pairs = Pairs(rows, size, 5, CPU)
    return [
        (min(pair), max(pair))
        for epoch in range(epochs)
        for batch in pairs.plan(epoch)
        for pair in batch.reshape(-1, 2).tolist()
    ]


@pytest.mark.parametrize("count", [2, 5, 6, 9])
def test_every_pair_of_a_class_meets_once_before_any_meets_twice(count):
    rounds = count - 1 + count % 2
    found = met(classes(count, count), rounds)
    wanted = {(start + a, start + b) for start in (0, count) for a in range(count) for b in range(a + 1, count)}
    assert len(found) == len(wanted) and set(found) == wanted


def test_a_round_reads_every_text_once():
    found = met(classes(8, 6, 4), 1)
    assert sorted(unit for pair in found for unit in pair) == list(range(18))


def test_a_lone_text_is_its_own_partner():
    assert (4, 4) in met(classes(4, 1), 1)


def test_the_second_tournament_is_another_one():
    rows = classes(10)
    orders = [[set(met(rows, turn + 1)[5 * turn :]) for turn in range(start, start + 9)] for start in (0, 9)]
    assert orders[0] != orders[1]


def test_plans_are_the_same_again_and_shared_out():
    rows = classes(*[4] * 20)
    first, again = (Pairs(rows, 16, 5, CPU).plan(3) for _ in range(2))
    assert all(np.array_equal(one, other) for one, other in zip(first, again, strict=True))
    assert max(map(len, first)) <= 16
    shares = [Pairs(rows, 16, 5, Machine(CPU.device, CPU.dtype, 1, rank, 2)).plan(3) for rank in (0, 1)]
    assert len(shares[0]) == len(shares[1])
    both = np.concatenate([batch for share in shares for batch in share])
    assert set(both.tolist()) == set(range(80))


def test_memory_grows_with_texts_not_with_pairs():
    import tracemalloc

    rows = classes(20_000, 20_000)
    tracemalloc.start()
    Pairs(rows, 64, 1, CPU).plan(0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40e6  # all pairs would be 200 million


def test_groups_of_other_tasks():
    several = Rows(
        {"y": Multilabel(["a", "b", "c"])},
        {"y": [np.array(x) for x in ([1, 1, 0], [0, 1, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0])]},
    )
    assert sorted(met(several, 1)) == [(0, 2), (1, 3)]  # by the rarest label; one without labels has no partner
    numbers = Rows({"y": Score()}, {"y": [np.array(float(at)) for at in range(16)]})
    assert sorted(met(numbers, 1)) == [(at, at + 1) for at in range(0, 16, 2)]


def test_heads_take_turns():
    rows = classes(4, 4)
    rows.tasks["z"] = Classify(["a", "b"])
    rows.targets["z"] = [np.array(at % 2) for at in range(8)]
    rows.present["z"] = np.array([True] * 4 + [False] * 4)
    pairs = Pairs(rows, 8, 5, CPU)
    second = np.concatenate(pairs.plan(1)).reshape(-1, 2)
    assert {tuple(sorted(pair)) for pair in second.tolist()} == {(0, 2), (1, 3)}


def test_alike():
    same = alike(Classify(["a", "b"]), torch.tensor([0, 1, 0, -100, -100]))
    assert same.tolist() == [[1, 0, 1, 0, 0], [0, 1, 0, 0, 0], [1, 0, 1, 0, 0], [0] * 5, [0] * 5]
    sets = alike(Multilabel(["a", "b"]), torch.tensor([[1.0, 1.0], [1.0, 0.0], [0.0, 0.0]]))
    assert sets.tolist() == [[1, 0.5, 0], [0.5, 1, 0], [0, 0, 0]]
    near = alike(Score(), torch.tensor([0.0, 0.5, 5.0]))
    assert near[0, 1] == pytest.approx(np.exp(-0.5)) and near[0, 2] < 1e-6
