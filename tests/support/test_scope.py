"""What lies outside of all intents: learned from questions, a half at the operator's threshold, refused beyond it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metier.apps.support import assemble, reading
from metier.apps.support.answer.known import NOBODY, Intent
from metier.apps.support.build import facts_of
from metier.apps.support.curve import outside_picture
from metier.apps.support.item import Context
from metier.apps.support.scope import Said, Scope
from metier.data.private.mask import mask
from metier.errors import DataError
from metier.evaluate.signals import Answers
from metier.store import open_store
from metier.store.knowledge import StoredEntry

CLASSES, WIDTH = 6, 12


def drawn(random: np.random.Generator, classes: np.ndarray) -> Said:
    """Vectors about the corner of their class; probabilities of the six that the run knows."""
    vectors = 3 * np.eye(WIDTH)[classes] + random.standard_normal((len(classes), WIDTH)) * 0.7
    shares = np.exp(vectors[:, :CLASSES])
    shares /= shares.sum(axis=1, keepdims=True)
    return Said(Answers(vectors, shares), shares.argmax(axis=1) == classes)


def made(strangers: int, given_up: float = 0.05) -> tuple[Scope, np.random.Generator]:
    random = np.random.default_rng(5)
    labels = random.integers(0, CLASSES, 300)
    strange = drawn(random, random.integers(CLASSES, WIDTH, strangers)) if strangers else None
    held_out = drawn(random, random.integers(0, CLASSES, 150))
    return Scope.fit(drawn(random, labels), labels.astype(str), held_out, strange, given_up), random


@pytest.mark.parametrize("strangers", [0, 10, 80])
def test_what_is_outside_lies_beyond_a_half(strangers: int) -> None:
    scope, random = made(strangers)

    def beyond(said: Said) -> float:
        pairs = zip(said.answers.vectors, said.answers.probabilities, strict=True)
        return float(np.mean([scope(vector, list(shares)) > 0.5 for vector, shares in pairs]))

    assert beyond(drawn(random, random.integers(0, CLASSES, 200))) < 0.15
    assert beyond(drawn(random, random.integers(CLASSES, WIDTH, 200))) > 0.6
    assert scope.outside.describe()["combination"]["kind"] == ("learned" if strangers == 80 else "ranks")


def test_more_given_up_refuses_more() -> None:
    careful, bold = made(80, 0.02)[0], made(80, 0.2)[0]
    assert bold.threshold < careful.threshold
    assert bold.point.out_of_scope_recall >= careful.point.out_of_scope_recall
    assert bold.point.in_scope_accuracy < careful.point.in_scope_accuracy


def test_it_is_kept_and_read(tmp_path: Path) -> None:
    scope, random = made(80)
    scope.save(tmp_path)
    told = json.loads(json.dumps(scope.describe()))
    again = Scope.load(tmp_path, told)
    said = drawn(random, np.arange(WIDTH)).answers
    for vector, shares in zip(said.vectors, said.probabilities, strict=True):
        assert again(vector, list(shares)) == pytest.approx(scope(vector, list(shares)))
    assert told["auroc"] > 0.9
    assert "of what is outside refused" in outside_picture(scope)
    assert not outside_picture(again), "there is no curve in a folder"


def test_an_intent_that_came_after_the_fit_is_not_held_back() -> None:
    said = Intent({"card_lost": 0.9}, outside=0.8)
    assert said.outside_of(StoredEntry("a", "q", "a", intent="card_lost")) == 0.8
    assert said.outside_of(StoredEntry("b", "q", "a", intent="new_intent")) == 0.0
    assert said.outside_of(StoredEntry("c", "q", "a")) == 0.0
    assert NOBODY.share(StoredEntry("c", "q", "a")) == 0.0


# -- the invented bank -----------------------------------------------------------------------------------------------
def test_the_bank_knows_what_it_does_not_know(bank) -> None:
    settings, built = bank
    assert built.scope is not None
    assert built.scope.curve.auroc > 0.8
    assert facts_of(Path(settings.built))["scope"]["threshold"] == built.scope.threshold
    assert (Path(settings.built) / "curve_outside.svg").read_text(encoding="utf-8").startswith("<svg")
    refused = [point.refused for point in built.sure.curve]
    assert refused == sorted(refused, reverse=True)
    kept = [point.kept for point in built.sure.curve]
    assert kept == sorted(kept), "a lower threshold answers more of what is known"


def test_a_message_beyond_the_threshold_gets_no_template_but_for_its_very_words(own) -> None:
    with open_store(own.store) as store:
        bot = assemble.answerer(own, store)
        told = bot.parts.understand
        bot.parts = replace(bot.parts, understand=lambda text: replace(told(text), outside=0.9))

        def tier(text: str) -> str:
            return bot.answer(mask(text), text, Context()).reply.tier

        assert tier("Report a lost or stolen card") == "template"
        assert tier("I cannot seem to find my bank card any longer") != "template"


def test_questions_of_nobody_are_masked_and_read_once(tmp_path: Path) -> None:
    file = tmp_path / "outside.csv"
    file.write_text("question\nwrite to a@example.com\nsing\nsing\n\n", encoding="utf-8")
    assert reading.strange(file) == ["write to [email]", "sing"]
    file.write_text("text\nsing\n", encoding="utf-8")
    with pytest.raises(DataError, match="no column 'question'"):
        reading.strange(file)
    file.write_text('question\n" "\n', encoding="utf-8")
    with pytest.raises(DataError, match="no question"):
        reading.strange(file)
