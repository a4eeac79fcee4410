"""Entries with their revisions, candidates, promotions that are rolled back: the same on both databases."""

from __future__ import annotations

import pytest

from metier.errors import DataError
from metier.store import knowledge
from metier.store.knowledge import Candidate, Promotion, StoredEntry

CARD = StoredEntry(
    "card", "How do I block my card?", "Call {phone}.", ["block card", "卡丢了"], language="en", by="ann"
)
FEES = StoredEntry("fees", "What does it cost?", "Nothing.", by="ann")


def test_entries_come_back_as_they_were_put_with_their_turns(store):
    with store.write() as connection:
        assert knowledge.put(connection, [CARD, FEES]) == 1
        assert knowledge.put(connection, [FEES]) == 1  # as it is: nothing changed
        assert knowledge.put(connection, [StoredEntry("fees", "What does it cost?", "Two.", by="bob")]) == 2
        found = knowledge.get(connection, ["card", "fees", "nothing"])
        assert [one.id for one in knowledge.changed(connection, 1)] == ["fees"]
        assert knowledge.turn_of(connection) == 2
    assert list(found["card"].others) == ["block card", "卡丢了"]
    assert (found["fees"].answer, found["fees"].revision, found["fees"].turn) == ("Two.", 2, 2)


def test_an_entry_with_what_no_database_takes_is_not_written_again_and_again(store):
    odd = StoredEntry("odd", "a\x00b", "c\ud800", ["\x00"])
    with store.write() as connection:
        assert [knowledge.put(connection, [odd]) for _ in range(2)] == [1, 1]


def test_a_promotion_is_rolled_back_to_what_was_before(store):
    with store.write() as connection:
        knowledge.put(connection, [CARD])
        done = knowledge.record(connection, Promotion("promoted", ["k1"], 5.0, "ann", {"right": 0.9}))
        knowledge.put(connection, [StoredEntry("card", "How?", "Use the app."), FEES], done.id)
        assert knowledge.roll_back(connection, done.id, "bob", 6.0) == 2
        found = knowledge.get(connection, ["card", "fees"])
        assert (found["card"].answer, found["card"].active) == ("Call {phone}.", True)
        assert not found["fees"].active  # there was none
        assert knowledge.promoted(connection)[0].verdict == "rolled_back"
        with pytest.raises(DataError, match="is rolled_back"):
            knowledge.roll_back(connection, done.id, "bob", 7.0)


def test_what_a_later_change_stands_on_is_not_rolled_back(store):
    with store.write() as connection:
        done = knowledge.record(connection, Promotion("promoted", [], 5.0, "ann"))
        knowledge.put(connection, [FEES], done.id)
        knowledge.put(connection, [StoredEntry("fees", "What does it cost?", "One.")])
        with pytest.raises(DataError, match="changed again after"):
            knowledge.roll_back(connection, done.id, "bob", 6.0)
        assert knowledge.get(connection, ["fees"])["fees"].answer == "One."


def test_a_candidate_is_decided_once(store):
    with store.write() as connection:
        kept = knowledge.propose(connection, Candidate("correction", "q", "a", "visitor", 1.0))
        assert [one.id for one in knowledge.waiting(connection)] == [kept.id]
        assert knowledge.decide(connection, kept.id, "approved", "ann", 2.0).state == "approved"
        assert knowledge.decide(connection, kept.id, "promoted", "ann", 3.0, reasons={"right": 1}).reasons == {
            "right": 1
        }
        with pytest.raises(DataError, match="is promoted already"):
            knowledge.decide(connection, kept.id, "refused", "bob", 4.0)
        with pytest.raises(DataError, match="no candidate 'x'"):
            knowledge.decide(connection, "x", "refused", "bob", 4.0)
        assert knowledge.waiting(connection) == []
