"""Conversations, messages and deliveries in both databases; what goes when a customer is erased, and what stays."""

from __future__ import annotations

import pytest

from metier.errors import DataError
from metier.store import conversations, customers, deliveries, interactions, knowledge, service_figures
from metier.store.conversations import Conversation, Message
from metier.store.deliveries import Delivery
from metier.store.knowledge import Candidate
from metier.types import Interaction

SECRET = "my parrot is called Hieronymus"


def opened(store, id="c1", **more):
    values = {"visitor": conversations.digest(id), "state": "bot", "opened": 100.0, "last": 100.0, **more}
    with store.write() as connection:
        conversations.open_one(connection, Conversation(id, **values))
        return conversations.get(connection, id)


def said(store, id, text="hello", conversation="c1", author="visitor", at=101.0, **more):
    with store.write() as connection:
        return conversations.say(connection, Message(id, conversation, author, text, at, **more))


def test_a_message_that_is_sent_twice_is_kept_once_with_its_number(store):
    opened(store)
    first = said(store, "m1")
    again = said(store, "m1", text="something else")
    other = said(store, "m2", text="two")
    assert again == first
    assert other.number > first.number
    with store.read() as connection:
        assert [one.text for one in conversations.transcript(connection, "c1")] == ["hello", "two"]
        assert conversations.transcript(connection, "c1", after=first.number) == [other]
        assert conversations.get(connection, "c1").last == 101.0


def test_the_same_id_in_two_conversations_is_two_messages(store):
    opened(store)
    opened(store, "c2")
    assert said(store, "m1").number != said(store, "m1", conversation="c2").number


def test_nobody_else_than_the_four_speaks(store):
    opened(store)
    with pytest.raises(DataError, match="no author 'devil'"):
        said(store, "m1", author="devil")


def test_of_two_who_change_what_they_saw_one_comes_too_late(store):
    seen = opened(store)
    with store.write() as connection:
        first = conversations.change(connection, seen, state="pending", queued=105.0)
        assert conversations.change(connection, seen, state="resolved") is None
    assert (first.state, first.version) == ("pending", 1)


def test_the_queue_is_in_the_order_of_waiting(store):
    for at, id in enumerate(["late", "early", "same"]):
        opened(store, id, state="pending", queued=[30.0, 10.0, 30.0][at])
    opened(store, "bot")
    with store.read() as connection:
        assert [one.id for one in conversations.queue(connection)] == ["early", "late", "same"]
        places = [
            conversations.position(connection, conversations.get(connection, id))
            for id in ("early", "late", "same", "bot")
        ]
    assert places == [1, 2, 3, 0]


def test_what_had_no_answer_is_found_again(store):
    opened(store)
    opened(store, "c2", state="human", agent="ann")
    first, second = said(store, "m1"), said(store, "m2", at=102.0)
    said(store, "m3", conversation="c2")
    said(store, "m4", author="bot", at=103.0, answers=first.number)
    with store.read() as connection:
        assert [one.number for one in conversations.unanswered(connection, 200.0)] == [second.number]
        assert conversations.unanswered(connection, 101.5) == []
        assert conversations.unanswered(connection, 200.0, 102.0), "from a time on, that moment with it"
        assert conversations.unanswered(connection, 200.0, 102.5) == []
        assert conversations.is_answered(connection, first.number)
        assert not conversations.is_answered(connection, second.number)


def test_conversations_whose_person_went_away(store):
    opened(store, "gone", state="human", agent="ann", seen=50.0)
    opened(store, "here", state="human", agent="ann", seen=99.0)
    with store.read() as connection:
        assert [one.id for one in conversations.left(connection, 60.0)] == ["gone"]
        assert {one.id for one in conversations.of_agent(connection, "ann")} == {"gone", "here"}


def test_pages_of_conversations_leave_none_out(store):
    for at in range(7):
        opened(store, f"c{at}", last=100.0 + at // 2)
    found, before = [], None
    with store.read() as connection:
        while page := conversations.listing(connection, before=before, limit=2):
            found += [one.id for one in page]
            before = (page[-1].last, page[-1].id)
    assert sorted(found) == [f"c{at}" for at in range(7)]


def test_no_delivery_overtakes_another_of_its_conversation(store):
    opened(store)
    opened(store, "c2")
    with store.write() as connection:
        for message, conversation, again in ((1, "c1", 50.0), (2, "c1", 0.0), (3, "c2", 0.0), (3, "c2", 0.0)):
            deliveries.add(connection, Delivery("chat", conversation, message, again))
        assert [one.message for one in deliveries.due(connection, 10.0)] == [3]
        both = deliveries.due(connection, 60.0)
        assert [one.message for one in both] == [1, 3]
        deliveries.done(connection, both[0].number, "sent")
        assert [one.message for one in deliveries.due(connection, 60.0)] == [2, 3]


def test_an_erased_customer_leaves_counts_and_nothing_else(store):
    opened(store, remark=f"nice, {SECRET}", rating=5, context={"question": SECRET})
    opened(store, "c2")
    asked = said(store, "m1", text=SECRET)
    answer = said(store, "m2", author="bot", text=f"you said {SECRET}", tier="template", intent="pets",
                  answers=asked.number, reply={"citations": [{"quote": SECRET}]})  # fmt: skip
    said(store, "m1", conversation="c2", text="another's")
    with store.write() as connection:
        interactions.add(connection, [Interaction("support", "message", str(answer.number), "corrected", "visitor", 1.0,
                                                  prediction=SECRET, correction=SECRET, comment=SECRET)])  # fmt: skip
        candidate = knowledge.propose(
            connection, Candidate("correction", SECRET, SECRET, "visitor", 1.0, conversation="c1")
        )
        before = service_figures.figures(connection, 0.0, 1000.0)
    done = customers.erase_customer(store, ["c1"], who="ann", now=500.0)
    assert (done.conversations, done.messages) == (1, 2)
    with store.read() as connection:
        assert service_figures.figures(connection, 0.0, 1000.0) == before
        assert knowledge.candidate_of(connection, candidate.id).state == "refused"
        assert [one.text for one in conversations.transcript(connection, "c2")] == ["another's"]
        erased = conversations.get(connection, "c1")
        assert (erased.visitor, erased.context, erased.erased) == ("", None, 500.0)
    assert (before.questions, before.tiers, before.intents) == (2, {"template": 1}, {"pets": 1})
    assert before.satisfaction == 1.0
    if store.path is not None:
        files = store.path.parent.glob(f"{store.path.name}*")
        assert not [file for file in files if b"Hieronymus" in file.read_bytes()]


def test_figures_by_day_and_of_nobody(store):
    opened(store)
    said(store, "m1", at=10.0)
    said(store, "m2", at=86_399.0)
    said(store, "m3", at=86_400.0)
    said(store, "m4", author="bot", at=86_400.0, tier="handover", outside=True)
    with store.read() as connection:
        found = service_figures.figures(connection, 0.0, 1e6)
        none = service_figures.figures(connection, 1e6, 2e6)
    assert found.days == {0.0: 2, 86_400.0: 1}
    assert (found.handed_over, found.outside, found.resolution) == (1, 1, 0.0)
    assert (none.questions, none.resolution, none.satisfaction) == (0, None, None)
