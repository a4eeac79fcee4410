"""What every task must do, on arrays small enough to read."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch

from metier import tasks
from metier.tasks.task import IGNORE, Encoding, Task
from metier.types import Document, Prediction, Span, Target

WIDTH, LENGTH = 8, 12
TEXT = "<e1> a </e1> b <e2> c </e2>"


@dataclass(frozen=True)
class Case:
    """A kind of task with targets that differ from text to text."""

    kind: str
    targets: tuple[Target, ...]
    settings: dict[str, Any] = field(default_factory=dict)


CASES = [
    Case("classify", ("a", "b", "c")),
    Case("multilabel", (("a", "b"), (), ("c",))),
    Case("tag", ((Span(5, 6, "X"),), (Span(13, 14, "Y"), Span(20, 21, "X")), ())),
    Case("tag", ((Span(5, 6, "X"),), (Span(13, 14, "Y"), Span(20, 21, "X")), ()), {"crf": True}),
    Case("mention", ((Span(5, 6, "X"),), (Span(13, 14, "Y"), Span(20, 21, "X")), ())),
    Case("relate", ("A(e1,e2)", "A(e2,e1)", "Other")),
    Case("score", (1.0, 2.5, 4.0)),
    Case("embed", (0.0, 1.0, 0.5)),
    Case("embed", (1.0, 1.0, 1.0)),
]


def encoding(at: int) -> Encoding:
    """One window: seven words between two special tokens."""
    tokens = [(0, 4), (5, 6), (7, 12), (13, 14), (15, 19), (20, 21), (22, 27)]
    start, end = np.zeros((2, 9), dtype=np.int32)
    start[1:-1], end[1:-1] = np.array(tokens).T
    sequence = np.array([-1, *[0] * 7, -1])
    document = Document(TEXT, id=str(at), mentions=((5, 6), (13, 14), (20, 21)))
    return Encoding(document, np.arange(9), np.zeros(9), start, end, sequence, sequence == 0)


def made(case: Case) -> Task:
    task = tasks.build(case.kind, case.targets)
    for name, value in case.settings.items():
        setattr(task, name, value)
    return task


def targets_of(case: Case, count: int = 24) -> list[Target]:
    return [case.targets[at % len(case.targets)] for at in range(count)]


def fields(task: Task, rows: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, dict[str, torch.Tensor]]:
    """What a head is given of `rows` texts."""
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(rows, 9, WIDTH, generator=generator)
    inputs = {key: torch.from_numpy(np.stack([value] * rows)) for key, value in task.inputs(encoding(0)).items()}
    return hidden, torch.ones(rows, 9), hidden.mean(dim=1), inputs


def logits_of(task: Task, count: int) -> list[np.ndarray]:
    """Merged logits of `count` texts from an untrained head, wide enough to differ."""
    rows = 2 * count if task.separate else count
    torch.manual_seed(0)
    hidden, mask, pooled, inputs = fields(task, rows)
    with torch.no_grad():
        found = (3 * task.head(WIDTH).eval()(3 * hidden, mask, 3 * pooled, **inputs)).numpy()
    if task.separate:
        return [task.merge([found[at], found[count + at]], [encoding(at)] * 2) for at in range(count)]
    return [task.merge([found[at]], [encoding(at)]) for at in range(count)]


@pytest.fixture(params=CASES, ids=lambda case: "-".join([case.kind, *case.settings, str(len(set(case.targets)))]))
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


def test_every_kind_has_a_case() -> None:
    assert {case.kind for case in CASES} == set(tasks.KINDS)


def test_labels_are_sorted_and_survive_json(case: Case) -> None:
    task = made(case)
    count = len(targets_of(case))
    task.calibrate(logits_of(task, count), targets_of(case), [[encoding(at)] for at in range(count)])
    saved = json.loads(json.dumps(task.describe()))
    again = tasks.restore(saved)
    assert list(task.labels) == sorted(task.labels)
    assert type(again) is type(task)
    assert again.describe() == task.describe()


def test_head_and_loss(case: Case) -> None:
    task = made(case)
    torch.manual_seed(0)
    head = task.head(WIDTH)
    count = 6 if task.separate else 3
    hidden, mask, pooled, inputs = fields(task, count)
    pooled = pooled.requires_grad_()
    logits = head(hidden.requires_grad_(), mask, pooled, **inputs)
    assert logits.shape[0] == count
    assert logits.ndim == (3 if task.per_token else 2)
    chosen = case.targets * (2 if task.separate else 1)
    encoded = np.stack([task.encode(target, encoding(at)) for at, target in enumerate(chosen)])
    for options in ({}, {"label_smoothing": 0.1, "class_weights": np.ones(len(task.labels)) if task.labels else None}):
        loss = task.loss(logits, torch.from_numpy(encoded), options)
        assert loss.ndim == 0
        assert torch.isfinite(loss)
        wanted = [parameter for parameter in (*head.parameters(), hidden, pooled) if parameter.requires_grad]
        gradients = torch.autograd.grad(loss, wanted, retain_graph=True, allow_unused=True)
        assert any(gradient is not None and gradient.abs().sum() > 0 for gradient in gradients)
        assert all(gradient is None or torch.isfinite(gradient).all() for gradient in gradients)


def test_a_step_lowers_the_loss(case: Case) -> None:
    task = made(case)
    torch.manual_seed(0)
    head = task.head(WIDTH).eval()
    hidden, mask, pooled, inputs = fields(task, 6 if task.separate else 3)
    hidden, pooled = hidden.requires_grad_(), pooled.detach().requires_grad_()
    chosen = case.targets * (2 if task.separate else 1)
    targets = torch.from_numpy(np.stack([task.encode(target, encoding(at)) for at, target in enumerate(chosen)]))
    optimiser = torch.optim.Adam([*head.parameters(), hidden, pooled], lr=0.05)
    losses = []
    for _ in range(40):
        optimiser.zero_grad()
        loss = task.loss(head(hidden, mask, pooled, **inputs), targets, {})
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_encoded_targets_have_the_stated_shape(case: Case) -> None:
    task = made(case)
    for at, target in enumerate(case.targets):
        encoded = task.encode(target, encoding(at))
        assert encoded.dtype in (np.int64, np.float32)
        assert encoded.shape in ((), (len(task.labels),), (9,))
        if task.per_token:
            assert encoded.shape == (9,)
            assert encoded[0] == encoded[-1] == IGNORE


def test_decode_metrics_and_statistics_agree(case: Case) -> None:
    task, golds = made(case), targets_of(case)
    pieces = [[encoding(at)] for at in range(len(golds))]
    predictions = task.decode(logits_of(task, len(golds)), pieces)
    assert len(predictions) == len(golds)
    assert all(isinstance(prediction, Prediction) and 0 <= prediction.score <= 1 for prediction in predictions)
    assert all(type(prediction.score) is float for prediction in predictions)
    figures = task.metrics(golds, predictions)
    assert json.loads(json.dumps(figures)) == figures
    assert figures["headline"]["name"] == task.headline_name
    statistics = task.statistics(golds, predictions)
    assert statistics.shape[0] == len(golds)
    assert float(task.headline(statistics.sum(axis=0))) == pytest.approx(figures["headline"]["value"])
    weights = np.random.default_rng(0).multinomial(len(golds), np.full(len(golds), 1 / len(golds)), size=7)
    assert task.headline(weights @ statistics).shape == (7,)
    score, correct = task.confidence(predictions, golds)
    assert score.shape == correct.shape == (len(task.each(golds, predictions)[0]),)
    assert set(correct.tolist()) <= {0.0, 1.0}
    documents = [encodings[0].document for encodings in pieces]
    assert task.metrics(golds, predictions, documents)["headline"] == figures["headline"]


def test_the_gold_itself_is_perfect(case: Case) -> None:
    task, golds = made(case), targets_of(case)
    figures = task.metrics(golds, [Prediction(gold, 1.0) for gold in golds])
    assert figures["headline"]["value"] == pytest.approx(1.0 if len(set(case.targets)) > 1 else 0.0)


def test_calibration_of_anything_does_not_raise(case: Case) -> None:
    task, golds = made(case), targets_of(case)
    pieces = [[encoding(at)] for at in range(len(golds))]
    logits = logits_of(task, len(golds))
    for count in (0, 1, len(golds)):
        task.calibrate(logits[:count], golds[:count], pieces[:count])
        predictions = task.decode(logits, pieces)
        assert all(np.isfinite(prediction.score) for prediction in predictions)
    assert np.isfinite(task.temperature)
    assert task.temperature > 0


def test_nothing_is_predicted_of_nothing(case: Case) -> None:
    assert made(case).decode([], []) == []
