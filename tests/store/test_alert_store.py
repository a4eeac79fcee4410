"""Alerts and what people say of them, silences, watchlists, missed events, interactions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from filled import document

from metier.errors import DataError
from metier.store import alerts, documents, interactions
from metier.store.alerts import Missed, Silence, StoredAlert, Wanted, Watchlist
from metier.store.store import Store
from metier.types import Interaction

ALERT = StoredAlert("a1", "x", "*", "firing", 900.0, 1800.0, "high", 950.0, evidence={"observed": 9}, labels={"t": "x"})


def test_an_alert_keeps_what_people_said_while_the_engine_writes_over_it(store):
    with store.write() as connection:
        alerts.put(connection, ALERT, stories=["s1"], texts=["d9"])
        alerts.acknowledge(connection, "a1", "ann", 1000.0)
        alerts.snooze(connection, "a1", 5000.0)
        alerts.own(connection, "a1", "desk")
        alerts.judge(connection, "a1", "right", "bob", 1100.0)
        alerts.put(connection, replace(ALERT, state="resolved", resolved=2700.0), stories=["s2"])
        back = alerts.get(connection, "a1")
        assert back == replace(
            ALERT, state="resolved", resolved=2700.0, acknowledged_by="ann", acknowledged_at=1000.0,
            snoozed_until=5000.0, owner="desk", verdict="right", verdict_by="bob", verdict_at=1100.0,
        )  # fmt: skip
        assert documents.pinned(connection, "alert:a1") == {"document": ["d9"], "story": ["s1", "s2"]}
        alerts.snooze(connection, "a1", None)
        assert alerts.get(connection, "a1").snoozed_until is None


def test_nobody_can_say_anything_of_an_alert_that_is_not_there(store):
    with pytest.raises(DataError, match="no alert 'a7'"), store.write() as connection:
        alerts.acknowledge(connection, "a7", "ann", 1.0)


def test_the_alerts_that_are_wanted(store):
    with store.write() as connection:
        for at in range(6):
            state = ("pending", "firing", "resolved")[at % 3]
            alerts.put(connection, replace(ALERT, id=f"a{at}", state=state, since=float(at // 2), topic="xy"[at % 2]))

        def ids(limit=100, **wanted):
            return [one.id for one in alerts.listing(connection, Wanted(**wanted), limit)]

        assert [one.id for one in alerts.listing(connection)] == ["a5", "a4", "a3", "a2", "a1", "a0"]
        assert ids(states=["firing", "pending"]) == ["a4", "a3", "a1", "a0"] and ids(states=[]) == []
        assert ids(topic="x") == ["a4", "a2", "a0"] and ids(company="acme") == []
        assert ids(start=1.0, end=2.0) == ["a3", "a2"]
        assert ids(2) == ["a5", "a4"] and ids(2, before=(2.0, "a4")) == ["a3", "a2"]


def test_the_alerts_of_an_owner_a_severity_and_a_verdict(store):
    with store.write() as connection:
        for at, level in enumerate(("high", "low", "high")):
            alerts.put(connection, replace(ALERT, id=f"a{at}", severity=level, since=float(at)))
        alerts.judge(connection, "a0", "false", "bob", 1.0)
        alerts.own(connection, "a2", "desk")

        def ids(**wanted):
            return [one.id for one in alerts.listing(connection, Wanted(**wanted))]

        assert ids(severities=["high"]) == ["a2", "a0"] and ids(severities=[]) == []
        assert ids(owner="desk") == ["a2"] and ids(owner="ann") == []
        assert ids(verdict="false") == ["a0"] and ids(verdict="") == ["a2", "a1"]


def test_silences(store):
    with store.write() as connection:
        alerts.silence(connection, Silence([{"name": "topic", "value": "x"}], 10.0, 20.0, "ann", id="q1"))
        assert [one.id for one in alerts.silenced(connection, 10.0)] == ["q1"] and not alerts.silenced(connection, 20.0)
        alerts.unsilence(connection, "q1", 15.0)
        assert not alerts.silenced(connection, 15.0) and alerts.silenced(connection)[0].ends == 15.0
        with pytest.raises(DataError, match="could be ended"):
            alerts.unsilence(connection, "q1", 16.0)


def test_watchlists_and_missed_events(store):
    with store.write() as connection:
        alerts.watch(connection, Watchlist("mine", "ann", ["x"], ["acme"], id="w1"))
        alerts.watch(connection, Watchlist("ours", "ann", ["x", "y"], id="w1"))
        (found,) = alerts.watched(connection, "ann")
        assert (found.name, found.topics, alerts.watched(connection, "bob")) == ("ours", ["x", "y"], [])
        alerts.unwatch(connection, "w1")
        with pytest.raises(DataError, match="no watchlist 'w1'"):
            alerts.unwatch(connection, "w1")
        with pytest.raises(DataError, match="ends before"):
            alerts.miss(connection, Missed("x", "*", 5.0, 4.0, "ann", 9.0))
        one = Missed("x", "*", 4.0, 5.0, "ann", 9.0, "a strike", ["d1"], "m1")
        alerts.miss(connection, one)
        assert alerts.missed_events(connection, 4.0, 5.0) == [one] and not alerts.missed_events(connection, 5.0)
        assert documents.pinned(connection, "missed:m1") == {"document": ["d1"]}
        alerts.withdraw(connection, "m1")
        assert not alerts.missed_events(connection) and not documents.pinned(connection, "missed:m1")


def test_an_interaction_is_kept_once_and_holds_its_document(store):
    one = Interaction("monitor", "document", "d1", "corrected", "ann", 5.0, "sentiment", "bad", "neutral", 4.0,
                      "abc123", "no", "i1")  # fmt: skip
    other = Interaction("recommend", "item", "7", "clicked", "bob", 6.0, prediction=[7, 8])
    with store.write() as connection:
        documents.add(connection, [document(1)])
        assert interactions.add(connection, [one, other, one]) == 2
        assert interactions.add(connection, [one]) == 0
        assert interactions.of(connection, "document", "d1") == [one]
        assert list(interactions.since(connection)) == [(1, one), (2, other)]
        assert [found.id for _, found in interactions.since(connection, 1)] == [other.id]
        assert [found.id for _, found in interactions.since(connection, app="monitor", head="sentiment")] == ["i1"]
        assert interactions.counts(connection, "monitor") == {("document", "corrected"): 1}
        assert documents.pinned(connection, "interaction:i1") == {"document": ["d1"]}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"verdict": "rihgt"}, "Did you mean 'right'"),
        ({"verdict": "corrected"}, "has no correction"),
        ({"correction": "neutral"}, "has a correction"),
        ({"who": "", "subject": ""}, "no subject and no who"),
    ],
)
def test_interactions_that_are_none(tmp_path, change, words):
    whole = {"app": "a", "kind": "document", "subject": "s", "verdict": "wrong", "who": "w", "at": 1.0}
    with Store.open(tmp_path / "a.db") as store:
        with pytest.raises(DataError, match=words), store.write() as connection:
            interactions.add(connection, [Interaction(**whole), Interaction(**{**whole, **change})])
        with store.read() as connection:
            assert not list(interactions.since(connection))
