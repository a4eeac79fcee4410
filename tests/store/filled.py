"""A store with a row of everything in it."""

from __future__ import annotations

from metier.store import (
    alerts,
    audit,
    conversations,
    customers,
    deliveries,
    documents,
    interactions,
    knowledge,
    notices,
    people,
    positions,
    quarantine,
    stories,
    ticks,
)
from metier.store.alerts import Missed, Silence, StoredAlert, Watchlist
from metier.store.audit import Entry
from metier.store.conversations import Conversation, Message
from metier.store.deliveries import Delivery
from metier.store.documents import StoredDocument, StoredMention
from metier.store.knowledge import Candidate, Promotion, StoredEntry
from metier.store.notices import StoredNotice
from metier.store.quarantine import Quarantined
from metier.store.store import Store
from metier.store.stories import StoredStory
from metier.store.ticks import State, StoredTick
from metier.types import Interaction

TEXT = "Acme shares fall after the regulator opens a probe into its accounts"


def document(at: int, **more) -> StoredDocument:
    said = {"text": f"{TEXT} {at}", "time": 1000.0 + at, "received": 1000.5 + at, "story": f"s{at // 2}"}
    return StoredDocument(f"d{at}", **{**said, **more})


def fill(store: Store, count: int = 10) -> None:
    said = {"source": "feed", "topics": [{"label": "x", "score": 0.25}], "version": "abc"}
    found = [
        document(at, meta={"by": "Reuters", "n": at}, sentiment={"label": "negative", "score": 0.1 + at}, **said)
        for at in range(count)
    ]
    with store.write() as connection:
        documents.add(connection, found)
        stories.put(connection, [StoredStory(f"s{at}", f"d{2 * at}", 1000.0 + 2 * at, 1001.0 + 2 * at, 2)
                                 for at in range(count // 2)])  # fmt: skip
        documents.mention(connection, [StoredMention(one.id, "acme", 0, 4, "Acme", "exact") for one in found])
        documents.unlink(connection, {"Initech": 3, "石油公司": 1}, 1000.0)
        ticks.put(connection, [StoredTick("x", "*", 900.0 * at, 2, 1, 0, -0.1, 3, 7) for at in range(count)])
        ticks.remember(connection, {("x", "*"): State({"level": 0.1, "high": float("inf")}, b"\x00\xff", 900.0)})
        ticks.set_stage(connection, "watermark", State({"at": 1e9 + 1 / 3}))
        positions.put(connection, {"feed": "line 7"}, 1000.0)
        quarantine.add(connection, [Quarantined("feed", "{broken\x00", "not JSON", 1000.0)])
        alert = StoredAlert(
            "a1", "x", "*", "firing", 1004.0, 1008.0, evidence={"stories": [{"id": "s1", "text": TEXT}]}
        )
        alerts.put(connection, alert, stories=["s1"], texts=["d9"])
        notices.add(connection, [StoredNotice("n1", "desk", {"text": TEXT}, 1008.0, ["a1"])])
        alerts.silence(connection, Silence([{"name": "topic", "value": "x"}], 0.0, 9.0, "ann", id="q1"))
        alerts.watch(connection, Watchlist("mine", "ann", ["x"], ["acme"], id="w1"))
        alerts.miss(connection, Missed("x", "*", 1.0, 2.0, "ann", 3.0, documents=["d8"], id="m1"))
        interactions.add(connection, [Interaction("monitor", "document", "d0", "wrong", "ann", 5.0, "topic", id="i1")])
        people.add(connection, "ann", "admin", None, 1.0)
        people.open_session(connection, "ann", 1000.0)
        people.add_key(connection, "feed", "viewer", 1.0)
        audit.append(
            connection, Entry("ann", "log in", 1.0), Entry("ann", "acknowledge", 2.5, "alert", "a1", {"x": 0.1})
        )
        _serve(connection)
    customers.erase_customer(store, ["c2"], who="ann", now=9.0)


def _serve(connection) -> None:
    """Customer service: an entry, a conversation with a message that is delivered, and one that is erased."""
    trial = knowledge.record(connection, Promotion("promoted", ["k1"], 4.0, "ann", {"right": 0.5}))
    knowledge.put(connection, [StoredEntry("e1", "Why?", "Because {order}.", ["How come?"], at=4.0)], trial.id)
    knowledge.propose(connection, Candidate("gap", "When?", "", "visitor", 5.0, near=[{"id": "e1"}], id="k1"))
    for id in ("c1", "c2"):
        opened = Conversation(id, conversations.digest(id), "bot", 1.0, 1.0, context={"question": "Why?"})
        conversations.open_one(connection, opened)
        said = conversations.say(connection, Message("m1", id, "visitor", "为什么?\x00", 2.0))
        deliveries.add(connection, Delivery("chat", id, said.number, 3.0))
