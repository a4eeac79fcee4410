"""From a correction to knowledge: what is approved answers at once, what breaks other answers is refused, all of it can
be taken back."""

from __future__ import annotations

import shutil
import time
from dataclasses import replace

import pytest

from metier.apps.support import build as building
from metier.apps.support.learn.reasons import because
from metier.apps.support.learn.replay import Asked, traffic
from metier.apps.support.learn.review import Opinion, Review
from metier.errors import DataError
from metier.store import interactions, knowledge

ANSWER = "Safe deposit boxes are rented in the branch at the market place, from 40 euros a year."
QUESTION = "can I rent a safe deposit box"


@pytest.fixture
def review(desk) -> Review:
    parts = desk.answerer.parts
    return Review(desk.store, parts.known, parts.encode, parts.understand)


def corrected_by(review, said, answer, who="visitor"):
    """The candidate of a correction."""
    return review.judge(said.conversation, said.number, Opinion("corrected", who, answer)).candidate


@pytest.fixture
def corrected(ask, desk, review):
    """A candidate: somebody said what would have been right."""
    said = ask(QUESTION)
    assert said.tier in ("unknown", "clarify")
    return corrected_by(review, said, ANSWER)


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
    candidate = corrected_by(review, said, "Buy a new one.")
    done = review.promote(candidate.id, "ann")
    assert done.verdict == "refused"
    assert done.report["reasons"]
    assert ask("I have lost my card").reply["entry"] == "card-lost"
    with desk.store.read() as connection:
        assert knowledge.candidate_of(connection, candidate.id).state == "refused"


def test_one_more_wording_of_an_entry(ask, review):
    said = ask("my plastic has vanished into thin air")
    candidate = review.judge(said.conversation, said.number, Opinion("wrong", "ann")).candidate
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


# -- what customers say ----------------------------------------------------------------------------------------------
def waiting(desk):
    with desk.store.read() as connection:
        return {one.id: one for one in knowledge.waiting(connection) if one.who != "history"}


def elsewhere(desk, text=QUESTION):
    """The reply in a conversation of its own."""
    conversation, _ = desk.open("terminal")
    return desk.receive(conversation.id, text).replies[-1]


def test_what_many_say_waits_once_and_is_counted(desk, review, corrected):
    for number in range(3):
        said = elsewhere(desk, f"{QUESTION}{'?' * number}")
        assert corrected_by(review, said, ANSWER.upper()).id == corrected.id
        assert corrected_by(review, said, ANSWER.upper()) is None, "sent twice"
        corrected_by(review, said, ANSWER.lower())
    assert {id: one.repeated for id, one in waiting(desk).items()} == {corrected.id: 3}


def test_other_answers_to_a_question_wait_beside_each_other(desk, review, corrected):
    other = corrected_by(review, elsewhere(desk), ANSWER.replace("40", "400"))
    assert set(waiting(desk)) == {corrected.id, other.id}


def test_a_correction_takes_the_place_of_a_thumb_down(desk, review):
    said = elsewhere(desk)
    thumb = review.judge(said.conversation, said.number, Opinion("wrong", "visitor")).candidate
    assert (thumb.kind, thumb.answer) == ("thumb", "")
    found = corrected_by(review, said, ANSWER)
    assert (found.id, found.kind, found.answer, found.repeated) == (thumb.id, "correction", ANSWER, 0)
    again = elsewhere(desk)
    assert review.judge(again.conversation, again.number, Opinion("wrong", "visitor")).candidate.repeated == 1
    assert set(waiting(desk)) == {thumb.id}


def test_a_customers_answer_does_not_go_to_a_persons_thumb(desk, review):
    said = elsewhere(desk)
    thumb = review.judge(said.conversation, said.number, Opinion("wrong", "ann")).candidate
    found = corrected_by(review, elsewhere(desk), "Spam.")
    assert {id: one.answer for id, one in waiting(desk).items()} == {thumb.id: "", found.id: "Spam."}


def test_customers_cannot_flood_the_queue(desk, review, monkeypatch):
    from metier.apps.support.learn import review as reviewing

    monkeypatch.setattr(reviewing, "OF_CUSTOMERS", 5)
    for _ in range(3):
        said = elsewhere(desk)
        for number in range(4):
            corrected_by(review, said, f"Answer {said.number} {number}.")
    assert len(waiting(desk)) == 5
    with desk.store.read() as connection:
        assert len(interactions.of(connection, "message", str(said.number))) == 4, (
            "what is too much is kept all the same"
        )
    said = elsewhere(desk)
    assert corrected_by(review, said, "By a person.", "ann").who == "ann"
    with desk.store.read() as connection:
        assert next(iter(knowledge.waiting(connection))).who != "visitor", "people's own come first"
        kept = interactions.of(connection, "message", str(said.number))
    assert [one.correction for one in kept] == ["By a person."]


def test_a_greeting_and_a_command_propose_nothing(desk, review):
    said = elsewhere(desk, "hello")
    assert review.judge(said.conversation, said.number, Opinion("wrong", "visitor")).candidate is None
    with desk.store.read() as connection:
        assert len(interactions.of(connection, "message", str(said.number))) == 1


def test_one_who_likes_a_wrong_answer_does_not_keep_it(desk, review):
    said = elsewhere(desk, "I have lost my card")
    for verdict in ("wrong", "right"):
        review.judge(said.conversation, said.number, Opinion(verdict, "visitor"))
    with desk.store.read() as connection:
        assert Asked("I have lost my card", "card-lost") in traffic(connection, time.time())
    for _ in range(2):
        other = elsewhere(desk, "I have lost my card")
        review.judge(other.conversation, other.number, Opinion("wrong", "visitor"))
    with desk.store.read() as connection:
        assert Asked("I have lost my card") in traffic(connection, time.time())


def test_reasons_are_told_in_both_languages(desk, review):
    said = elsewhere(desk, "I have lost my card")
    done = review.promote(corrected_by(review, said, "Buy a new one.").id, "ann")
    english, chinese = ([because(one, language) for one in done.report["reasons"]] for language in ("en", "zh"))
    assert english and len(english) == len(chinese) == len(set(english + chinese)) / 2
    assert all(any("\u4e00" <= sign <= "\u9fff" for sign in one) for one in chinese)
    assert not any("\u4e00" <= sign <= "\u9fff" for one in english for sign in one)
    assert because("in my own words", "zh") == "in my own words"


def test_what_was_taken_back_may_be_proposed_again(desk, review, corrected):
    review.roll_back(review.promote(corrected.id, "ann").id, "ann")
    again = corrected_by(review, elsewhere(desk), ANSWER)
    assert (again.state, again.answer) == ("waiting", ANSWER)
    assert again.id != corrected.id


# -- the next fit ----------------------------------------------------------------------------------------------------
def test_what_was_promoted_is_in_the_next_fit(own, desk, review, corrected, tmp_path, monkeypatch):
    with pytest.raises(DataError, match="no intent 'card_lots'.*card_lost"):
        review.promote(corrected.id, "ann", intent="card_lots")
    assert review.promote(corrected.id, "ann", intent="branch_hours").verdict == "promoted"
    wording = "my plastic has vanished into thin air"
    thumb = review.judge(*exchange(desk, wording), Opinion("wrong", "ann")).candidate
    assert review.promote(thumb.id, "ann", merge="card-lost").verdict == "promoted"
    fitted = []

    class Enough(Exception):
        """The fit itself takes a minute."""

    def train(rows, **more):
        fitted.extend((row["text"], row["intent"]) for row in rows)
        raise Enough

    monkeypatch.setattr(building, "train", train)
    shutil.copytree(f"{own.built}/encoder", tmp_path / "next" / "encoder")
    with pytest.raises(Enough):
        building.build(own.model_copy(update={"built": str(tmp_path / "next")}), desk.store, time.time())
    assert (QUESTION, "branch_hours") in fitted
    assert (wording, "card_lost") in fitted


def exchange(desk, text):
    said = elsewhere(desk, text)
    return said.conversation, said.number
