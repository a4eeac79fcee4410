"""What a message means behind another one."""

from __future__ import annotations

import pytest

from metier.apps.support.answer import follow
from metier.apps.support.answer.known import Match
from metier.apps.support.item import Asked, Context
from metier.store.knowledge import StoredEntry

BEFORE = Context(question="How long does a transfer take?", entry="time")


def asked(text, language="en", context=BEFORE):
    return Asked(text, text, language, context)


def found(**scores):
    """Matches, the surest first."""
    matches = [Match(StoredEntry(id, "", ""), "", (), score) for id, score in scores.items()]
    return sorted(matches, key=lambda one: -one.score)


@pytest.mark.parametrize(
    ("text", "language", "follows", "leans"),
    [
        ("and abroad?", "en", True, True),
        ("is it free?", "en", True, True),
        ("weather today", "en", True, False),
        ("那周末呢", "zh", True, True),
        ("I would like to know what the account costs each month", "en", False, False),
    ],
)
def test_what_opens_or_points_back_leans_and_what_is_short_follows(text, language, follows, leans):
    assert (follow.follows(asked(text, language)), follow.leans(asked(text, language))) == (follows, leans)
    assert not follow.follows(asked(text, language, Context())), "there is nothing to go on from"


@pytest.mark.parametrize(
    ("text", "alone", "both", "rest", "way"),
    [
        ("and with my card?", {"fee": 0.4}, {"card": 0.9, "time": 0.2}, {"card": 0.9}, "both"),
        ("can I pay it early?", {"early": 0.95}, {"time": 0.9}, {"early": 0.3}, "alone"),
        ("and close it?", {"close": 0.5}, {"time": 0.8, "close": 0.7}, {"close": 0.95}, "rest"),
        ("and if it is urgent?", {"gone": 0.03}, {"time": 0.99}, {"gone": 0.1}, "both"),
        ("and on thursday?", {"time": 0.5}, {"time": 0.99}, {"gone": 0.1}, "both"),
        ("and abroad?", {"abroad": 0.4}, {"time": 0.99}, {"abroad": 0.35}, "alone"),
        ("and abroad?", {"abroad": 0.35}, {"time": 0.99}, {"abroad": 0.4}, "rest"),
        ("weather today", {"time": 0.02}, {"time": 0.99}, {"gone": 0.1}, "alone"),
        ("and then?", {}, {}, {}, "rest"),
    ],
)
def test_the_question_before_is_no_evidence_for_its_own_answer(text, alone, both, rest, way):
    chosen = follow.chosen(asked(text), found(**alone), found(**both), found(**rest), threshold=0.7, offer=0.3)
    assert chosen == way
