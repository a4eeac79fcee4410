"""From a correction to knowledge: what is approved answers at once, what breaks other answers is refused, all of it can
be taken back."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metier.apps.support.learn.review import Review
from metier.errors import DataError
from metier.store import knowledge

ANSWER = "Safe deposit boxes are rented in the branch at the market place, from 40 euros a year."
QUESTION = "can I rent a safe deposit box"


@pytest.fixture
def review(desk) -> Review:
    parts = desk.answerer.parts
    return Review(desk.store, parts.known, parts.encode, parts.understand)


@pytest.fixture
def corrected(ask, desk, review):
    """A candidate: somebody said what would have been right."""
    said = ask(QUESTION)
    assert said.tier in ("unknown", "clarify")
    return review.judge(said.conversation, said.number, "corrected", "visitor", ANSWER)


def test_an_approved_correction_is_answered_at_once(ask, review, corrected):
    done = review.promote(corrected.id, "ann")
    assert (done.verdict, done.report["reasons"]) == ("promoted", [])
    said = ask(QUESTION)
    assert (said.tier, said.text) == ("template", ANSWER)


def test_it_is_found_in_other_words_and_after_a_new_start(own, desk, review, corrected):
    from metier.apps.support import assemble

    review.promote(corrected.id, "ann")
    known = assemble.answerer(own, desk.store).parts.known
    assert known.find("I want to rent a safe deposit box")[0].entry.answer == ANSWER


def test_a_promotion_is_taken_back(ask, review, corrected):
    done = review.promote(corrected.id, "ann")
    assert review.roll_back(done.id, "bob") == 1
    assert ask(QUESTION).tier in ("unknown", "clarify", "handover")
    with pytest.raises(DataError, match="rolled_back"):
        review.roll_back(done.id, "bob")


def test_a_candidate_that_takes_other_questions_is_refused_with_reasons(ask, desk, review):
    said = ask("I have lost my card")
    assert said.reply["entry"] == "card-lost"
    candidate = review.judge(said.conversation, said.number, "corrected", "visitor", "Buy a new one.")
    done = review.promote(candidate.id, "ann")
    assert done.verdict == "refused"
    assert done.report["reasons"]
    assert ask("I have lost my card").reply["entry"] == "card-lost"
    with desk.store.read() as connection:
        assert knowledge.candidate_of(connection, candidate.id).state == "refused"


def test_one_more_wording_of_an_entry(ask, review):
    said = ask("my plastic has vanished into thin air")
    candidate = review.judge(said.conversation, said.number, "wrong", "ann")
    assert candidate.kind == "thumb"
    with pytest.raises(DataError, match="has no answer"):
        review.promote(candidate.id, "ann")
    assert review.promote(candidate.id, "ann", merge="card-lost").verdict == "promoted"
    assert ask("my plastic has vanished into thin air").reply["entry"] == "card-lost"


def test_an_agents_own_answer_waits_and_is_kept_masked(desk, review):
    conversation, _ = desk.open("terminal")
    desk.receive(conversation.id, QUESTION)
    desk.act(conversation.id, "take", "agent", "ann")
    said = desk.agent_says(conversation.id, "ann", f"{ANSWER} Call me on +44 20 7946 0958.")
    candidate = review.learn_from(said)
    assert candidate.question == QUESTION
    assert "[phone]" in candidate.answer
    with desk.store.read() as connection:
        assert candidate.id in {one.id for one in knowledge.waiting(connection)}


def test_what_is_decided_is_not_decided_again(review, corrected):
    review.refuse(corrected.id, "ann", "not ours")
    with pytest.raises(DataError, match="is refused already"):
        review.promote(corrected.id, "ann")


def test_an_entry_written_by_hand_answers_at_once(ask, desk, review):
    with desk.store.read() as connection:
        there = knowledge.get(connection, ["branch-hours"])["branch-hours"]
    review.edit(replace(there, answer="Day and night."), "ann")
    assert ask("When are you open?").text == "Day and night."
