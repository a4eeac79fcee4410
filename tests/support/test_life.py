"""The life of a conversation: which step who may take from where; hours in which people are there."""

from __future__ import annotations

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metier.apps.support.conversation import STEPS, Refused, act
from metier.apps.support.hours import Hours
from metier.store.conversations import STATES, Conversation

PARIS = ZoneInfo("Europe/Paris")


def conversation(state: str, **more) -> Conversation:
    return Conversation("c", "v", state, 0.0, 0.0, **more)


@given(st.lists(st.tuples(st.sampled_from(sorted(STEPS)), st.sampled_from(["visitor", "agent", "system"]),
                          st.sampled_from(["ann", "bob"])), max_size=12))  # fmt: skip
def test_whatever_is_tried_the_state_is_whole(acts):
    now, found = 100.0, conversation("bot")
    for what, who, agent in acts:
        now += 1
        try:
            values = act(found, what, who, now, agent)
        except Refused:
            continue
        before, found = found, conversation(**{"state": values["state"], "agent": values["agent"],
                                               "queued": values["queued"], "seen": values["seen"]})  # fmt: skip
        assert found.state in STATES
        assert before.state in STEPS[what].sources
        assert (found.queued is not None) >= (found.state == "pending")
        assert (found.agent is not None) >= (found.state == "human")
        if before.state in ("human", "pending") and found.state == "bot":
            assert who in ("visitor", "agent"), "back to the bot only by a person"


def test_who_is_returned_keeps_the_place_in_the_queue():
    taken = conversation("human", agent="ann", queued=50.0, seen=60.0)
    assert act(taken, "lost", "system", 200.0)["queued"] == 50.0


@pytest.mark.parametrize(
    ("state", "what", "who", "said"),
    [("human", "return", "agent", "ann looks after"), ("bot", "resolve", "agent", "is bot"),
     ("bot", "take", "visitor", "visitor cannot take"), ("pending", "call", "visitor", "is pending")],
)  # fmt: skip
def test_what_is_refused_says_why(state, what, who, said):
    with pytest.raises(Refused, match=said):
        act(conversation(state, agent="ann"), what, who, 1.0, "bob")


def test_an_erased_conversation_does_nothing_more():
    with pytest.raises(Refused, match="was erased"):
        act(conversation("resolved", erased=5.0), "reopen", "visitor", 9.0)


def at(*parts: int) -> float:
    return datetime(*parts, tzinfo=PARIS).timestamp()


def test_office_hours_over_a_week_end_and_a_holiday():
    hours = Hours.read({"mon-fri": "09:00-12:30, 14:00-18:00"}, PARIS, [date(2026, 11, 23)])
    assert hours.is_open(at(2026, 11, 20, 9, 0))
    assert not hours.is_open(at(2026, 11, 20, 13, 0))
    assert hours.opens(at(2026, 11, 20, 13, 0)) == at(2026, 11, 20, 14, 0)
    assert hours.opens(at(2026, 11, 20, 18, 0)) == at(2026, 11, 24, 9, 0)  # a week-end, then a holiday
    assert hours.opens(at(2026, 11, 24, 10, 0)) == at(2026, 11, 24, 10, 0)


def test_hours_follow_the_clock_of_the_zone_through_the_change_of_time():
    hours = Hours.read({"sat-mon": "08:00-20:00"}, PARIS)
    opens = hours.opens(at(2026, 10, 24, 21, 0))  # the clocks go back in this night
    assert datetime.fromtimestamp(opens, UTC).hour == 7


def test_nothing_written_is_always_open_and_never_is_never():
    assert Hours.read({}, PARIS).is_open(at(2026, 11, 22, 3, 0))
    assert Hours.read({"mon": ""}, PARIS).opens(at(2026, 11, 22, 3, 0)) is None
