"""What guesses are believed, how unlabelled texts are dealt out, and what they add to the loss."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from torch import nn

from metier.models.batch import Batch
from metier.recipe import SemiPart
from metier.tasks.classify import Classify
from metier.tasks.multilabel import Multilabel
from metier.tasks.score import Score
from metier.train.semi import blanked, confidence, consistency, sure


def test_the_confidence_falls_in_a_line():
    settings = SemiPart(confidence=0.9, confidence_end=0.5)
    assert [confidence(settings, done) for done in (0.0, 0.5, 1.0, 2.0)] == pytest.approx([0.9, 0.7, 0.5, 0.5])


def test_a_class_gets_no_more_than_its_share():
    scores = np.array([0.99, 0.98, 0.97, 0.96, 0.91, 0.2])
    guesses = ["easy", "easy", "easy", "easy", "hard", "hard"]
    kept = sure(scores, 0.9, guesses, known=["easy", "hard"])
    assert kept.tolist() == [0, 1, 2, 4]  # half of five, rounded up, and the surest of them
    assert sure(scores, 0.9).tolist() == [0, 1, 2, 3, 4]
    assert sure(scores, 1.0, guesses, ["easy"]).tolist() == []


def test_a_class_that_no_label_names_gets_one():
    assert sure(np.ones(3), 0.5, ["new"] * 3, known=["old"]).tolist() == [0]


@dataclass
class Fixed:
    """A network that says of each row what stands in its ids."""

    tasks: dict

    def __call__(self, batch: Batch) -> dict:
        return {"a": batch.ids.float().requires_grad_(True)}


def batch(*rows: tuple[int, ...]) -> Batch:
    ids = torch.tensor(rows)
    return Batch(np.arange(len(rows)), ids, torch.ones_like(ids, dtype=torch.bool), torch.zeros_like(ids))


@dataclass
class Scene:
    network: Fixed

    class machine:  # noqa: N801
        @staticmethod
        def autocast():
            return torch.enable_grad()


def test_consistency_is_the_divergence_from_a_sharpened_answer():
    scene = Scene(Fixed({"a": Classify(["x", "y"])}))
    plain, changed = batch((2, 0), (0, 0)), batch((1, 0), (3, 0))
    found = consistency(scene, plain, changed, 0.8)
    wanted = (torch.tensor([2.0, 0.0]) / 0.4).softmax(0)
    said = torch.tensor([1.0, 0.0]).log_softmax(0)
    expected = (wanted * (wanted.log() - said)).sum() / 2  # the second row is not sure; the mean is over both
    assert float(found.detach()) == pytest.approx(float(expected), abs=1e-6)
    assert float(consistency(scene, plain, changed, 0.9).detach()) == 0.0


def test_how_sure_tasks_are():
    assert float(Classify(["x", "y"]).sureness(torch.zeros(1, 2))) == 0.5
    assert float(Multilabel(["x", "y"]).sureness(torch.tensor([[0.0, 100.0]]))) == pytest.approx(0.75)
    assert Score().sureness(torch.zeros(3, 1)).tolist() == [1.0, 1.0, 1.0]


def test_blanks_spare_what_they_must():
    ids = torch.arange(1, 1001)[None]
    full = Batch(np.zeros(1), ids, torch.ones_like(ids, dtype=torch.bool), torch.zeros_like(ids))
    found = blanked(full, spared=range(1, 501), blank=0, share=0.5, seed=3).ids
    assert torch.equal(found[0, :500], ids[0, :500]) and 200 < int((found == 0).sum()) < 300
    assert torch.equal(found, blanked(full, range(1, 501), 0, 0.5, 3).ids)
    assert not torch.equal(found, blanked(full, range(1, 501), 0, 0.5, 4).ids)


def test_members_answer_with_their_mean_probability():
    members = torch.tensor([[[2.0, 0.0]], [[0.0, 1.0]], [[-1.0, 5.0]]])
    together = Classify(["x", "y"]).average(members).softmax(-1)
    torch.testing.assert_close(together, members.softmax(-1).mean(0))
    yes = Multilabel(["x", "y"]).average(members).sigmoid()
    torch.testing.assert_close(yes, members.sigmoid().mean(0))
    torch.testing.assert_close(Score().average(members[..., :1]), members[..., :1].mean(0))
    large = torch.tensor([[[200.0, -200.0]], [[200.0, -200.0]]])
    assert torch.isfinite(Multilabel(["x", "y"]).average(large)).all()


def test_the_gradient_of_a_teacher_does_not_depend_on_the_temperature_alone():
    from metier.train.distil import Teacher

    network = Fixed({"a": Classify(["x", "y"])})
    rows = batch((0, 0))
    logits = {"a": nn.Parameter(torch.tensor([[0.1, 0.0]]))}
    pulls = []
    for heat in (4.0, 40.0):
        teacher = Teacher({"a": [np.array([0.0, 0.2], dtype=np.float32)]}, temperature=heat, labels=0.0)
        teacher.loss(network, rows, logits, torch.zeros(())).backward()
        pulls.append(logits["a"].grad.clone())
        logits["a"].grad = None
    torch.testing.assert_close(pulls[0], pulls[1], rtol=0.02, atol=1e-4)
    assert pulls[0][0, 0] > 0 > pulls[0][0, 1]
