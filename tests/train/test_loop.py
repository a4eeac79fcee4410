"""The loop against the plain one that its docstring shows."""

import copy
from dataclasses import dataclass, field

import numpy as np
import pytest
import torch
from torch import nn

from metier.train import loop
from metier.train.loop import Fit, Settings, State
from metier.train.optimiser import Optimiser
from metier.train.schedule import scale

ROWS, WIDTH = 24, 4


@dataclass
class Piece:
    """What the loop asks of a batch."""

    rows: np.ndarray
    mask: torch.Tensor
    x: torch.Tensor
    y: torch.Tensor


@dataclass
class Numbers:
    """Twenty-four points, six batches an epoch."""

    planned: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        generator = torch.Generator().manual_seed(1)
        self.x = torch.randn(ROWS, WIDTH, generator=generator)
        self.y = self.x.sum(dim=1) + 0.1 * torch.randn(ROWS, generator=generator)

    def plan(self, epoch: int) -> list[np.ndarray]:
        self.planned.append(epoch)
        return np.array_split(np.random.default_rng(epoch).permutation(ROWS), 6)

    def batch(self, units: np.ndarray) -> Piece:
        return Piece(units, torch.ones(len(units), 3, dtype=torch.bool), self.x[units], self.y[units])


def model() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Linear(WIDTH, 1)


def fit(settings: Settings, evaluate=None, network=None) -> Fit:
    network = network or model()
    return Fit(
        network=network,
        optimiser=Optimiser(network, 1e-2),
        source=Numbers(),
        objective=lambda piece: [nn.functional.mse_loss(network(piece.x).squeeze(-1), piece.y)],
        evaluate=evaluate,
        settings=settings,
    )


def test_as_the_plain_loop():
    made = fit(Settings(epochs=3, clip=1e9, warmup=0.2, schedule="cosine"))
    records = list(loop.steps(made))
    loop.restore_best(made)
    network, source = model(), Numbers()
    adamw = torch.optim.AdamW(network.parameters(), lr=1e-2, weight_decay=0.0)
    losses = []
    for epoch in range(3):
        for position, units in enumerate(source.plan(epoch)):
            piece = source.batch(units)
            loss = nn.functional.mse_loss(network(piece.x).squeeze(-1), piece.y)
            loss.backward()
            losses.append(float(loss.detach()))
            for group in adamw.param_groups:
                group["lr"] = 1e-2 * scale((epoch + position / 6) / 3, warmup=0.2, shape="cosine")
            adamw.step()
            adamw.zero_grad()
    for weight, other in zip(made.network.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(weight, other, atol=1e-7, rtol=1e-5)
    assert [record.loss for record in records] == pytest.approx(losses, rel=1e-5)
    assert [record.step for record in records] == list(range(1, 19))
    assert all(record.examples == 4 and record.tokens == 12 and record.seconds > 0 for record in records)


def test_accumulation_is_one_larger_batch():
    class Halves(Numbers):
        def plan(self, epoch: int) -> list[np.ndarray]:
            return [half for units in super().plan(epoch) for half in np.split(units, 2)]

    whole, parts = fit(Settings(epochs=2)), fit(Settings(epochs=2, accumulate=2))
    parts.source = Halves()
    for made in (whole, parts):
        list(loop.steps(made))
    torch.testing.assert_close(whole.network.weight, parts.network.weight, atol=1e-6, rtol=1e-5)
    assert whole.state.step == parts.state.step == 12


def test_a_part_of_an_epoch():
    made = fit(Settings(epochs=1.5))
    assert len(list(loop.steps(made))) == 9 and made.source.planned == [0, 1]


def test_gradients_are_clipped():
    made = fit(Settings(epochs=1, clip=1e-3))
    assert all(record.norm > 1e-3 for record in loop.steps(made))


def test_the_best_weights_are_kept_and_patience_ends_it():
    values, seen = iter([0.1, 0.5, 0.5, 0.4, 0.9]), []

    def evaluate():
        seen.append(copy.deepcopy(made.network.state_dict()))
        return {"metric": next(values)}

    made = fit(Settings(epochs=5, patience=2), evaluate)
    records = list(loop.steps(made))
    assert [record.valid["metric"] for record in records if record.valid] == [0.1, 0.5, 0.5, 0.4]
    assert [record.best for record in records if record.valid] == [True, True, True, False]  # of equals the later
    assert made.state.stopped and made.state.best_value == 0.5
    loop.restore_best(made)
    assert torch.equal(made.network.weight, seen[2]["weight"])


def test_several_evaluations_an_epoch():
    made = fit(Settings(epochs=2, evaluations=3), lambda: {"metric": 1.0})
    assert [record.step for record in loop.steps(made) if record.valid] == [2, 4, 6, 8, 10, 12]


def test_no_patience_no_end():
    made = fit(Settings(epochs=4, patience=0), lambda: {"metric": 0.0})
    assert len(list(loop.steps(made))) == 24


def test_averaged_weights_are_judged_and_kept():
    judged = []

    def evaluate():
        judged.append(made.network.weight.detach().clone())
        return {"metric": float(len(judged))}

    made = fit(Settings(epochs=2, ema=0.9), evaluate)
    average, current = None, []
    for record in loop.steps(made):
        weight = made.network.weight.detach().clone()
        decay = min(0.9, (1 + record.step) / (10 + record.step))
        average = weight if average is None else torch.lerp(average, weight, 1 - decay)
        current.append(weight)
        if record.valid:
            torch.testing.assert_close(judged[-1], average)
            assert not torch.equal(judged[-1], weight), "afterwards the fit goes on from its own weights"
    loop.restore_best(made)
    torch.testing.assert_close(made.network.weight, average)


def test_averaged_weights_without_an_evaluation():
    made = fit(Settings(epochs=1, ema=0.5))
    list(loop.steps(made))
    loop.restore_best(made)
    assert torch.equal(made.network.weight, made.state.average["weight"])


@pytest.mark.parametrize("at", [1, 5, 6, 11])
def test_goes_on_where_it_stood(at):
    settings = Settings(epochs=2, ema=0.9, patience=9)
    whole = fit(settings, lambda: {"metric": -float(whole.network.weight.square().sum())})
    list(loop.steps(whole))
    first = fit(settings, lambda: {"metric": -float(first.network.weight.square().sum())})
    for record in loop.steps(first):
        if record.step == at:
            break
    network = model()
    network.load_state_dict(first.network.state_dict())
    second = fit(settings, lambda: {"metric": -float(network.weight.square().sum())}, network)
    second.optimiser.load(first.optimiser.state())
    second.state = State(**{name: copy.deepcopy(getattr(first.state, name)) for name in State.__slots__})
    list(loop.steps(second))
    for made in (whole, second):
        loop.restore_best(made)
    assert torch.equal(whole.network.weight, second.network.weight)


def test_gradients_are_averaged_before_the_update():
    made, calls = fit(Settings(epochs=1)), []
    made.average_gradients = lambda: calls.append(float(made.network.weight.grad.abs().sum()))
    list(loop.steps(made))
    assert len(calls) == 6 and all(calls)
