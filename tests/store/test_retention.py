"""Forgetting by age, and erasing on demand: counts stay, pins hold, texts are gone from the disk."""

from __future__ import annotations

import pytest
from filled import TEXT, document, fill
from hypothesis import given
from hypothesis import strategies as st

from metier.store import alerts, audit, contents, documents, interactions, notices, stories, ticks
from metier.store.alerts import StoredAlert
from metier.store.retention import ERASED, Erased, Forgotten, erase, forget, without
from metier.types import Interaction


def test_what_is_old_goes_and_what_is_held_stays(store):
    """Ten documents, two a story. s1 is held by an alert (so d2 and d3), d9 by it, too, d8 by a missed event, d0 by an
    interaction; d6 and d7 are as new. So d1, d4, d5 go, and s2 with its last."""
    fill(store)
    with store.read() as connection:
        before = contents.digests(connection)
    with store.write() as connection:
        documents.put(connection, [document(6, time=5000.0), document(7, time=5000.0)])
        stories.put(connection, [stories.StoredStory("s3", "d6", 1006.0, 5000.0, 2)])
    done = forget(store, 2000.0, now=9000.0, who="ann", batch=1)
    assert done == Forgotten(documents=3, stories=1, quarantined=1, held=5)
    with store.read() as connection:
        assert [one.id for one in documents.arrived(connection)] == ["d0", "d2", "d3", "d6", "d7", "d8", "d9"]
        assert [one.id for one in stories.alive(connection, 0.0)] == ["s0", "s1", "s4", "s3"]
        assert set(documents.mentions_of(connection, [f"d{at}" for at in range(10)])) == {
            f"d{at}" for at in (0, 2, 3, 6, 7, 8, 9)
        }
        after = contents.digests(connection)
        assert not [
            name for name in ("ticks", "series", "alerts", "interactions", "pins") if after[name] != before[name]
        ]
        (entry,) = audit.listing(connection, limit=1)
        assert (entry.who, entry.what, entry.details["documents"]) == ("ann", "forget", 3)
    assert forget(store, 2000.0, now=9000.0).documents == 0


def test_the_room_is_given_back(tmp_path, store):
    with store.write() as connection:
        documents.add(connection, [document(at, text=f"{at} {TEXT}" * 20, story=None) for at in range(2000)])
    file = tmp_path / "metier.db"
    size = file.stat().st_size if store.kind == "sqlite" else 0
    assert forget(store, 1e9, now=1.0).documents == 2000
    if store.kind == "sqlite":
        assert file.stat().st_size < size / 5
    with store.read() as connection:
        assert documents.count(connection) == 0


SECRET = "My name is Erika Mustermann and the bank refused my loan at the branch in Ulm."


def complaint(store):
    evidence = {"stories": [{"id": "s9", "text": SECRET, "headline": SECRET[:30] + "...", "heat": 2}], "topic": "loan",
                "words": ["loan", "bank"]}  # fmt: skip
    with store.write() as connection:
        documents.add(connection, [
            document(1, text=SECRET, story="s9", subject="customer-7", url="https://x/7", vector=b"v", meta={"a": 1}),
            document(2, text="Another one", story="s9", subject="customer-8"),
        ])  # fmt: skip
        documents.mention(connection, [documents.StoredMention("d1", "ulm bank", 0, 4, "bank", "alias")])
        ticks.put(connection, [ticks.StoredTick("loan", "*", 900.0, 2, 2)])
        alerts.put(
            connection, StoredAlert("a1", "loan", "*", "firing", 900.0, 900.0, evidence=evidence), stories=["s9"]
        )
        notices.add(connection, [notices.StoredNotice("n1", "desk", {"text": f"Alert: {SECRET}"}, 1.0, ["a1"])])
        interactions.add(connection, [
            Interaction("monitor", "document", "d1", "corrected", "ann", 5.0, "", SECRET, "card", comment="E", id="i1"),
            Interaction("support", "customer", "customer-7", "clicked", "ann", 5.0, comment="hers", id="i2"),
            Interaction("monitor", "mention", "d1:0:4", "wrong", "ann", 5.0, prediction="bank", id="i3"),
            Interaction("monitor", "document", "d2", "wrong", "ann", 5.0, comment="stays", id="i4"),
        ])  # fmt: skip


def test_texts_of_one_customer_are_erased_and_counts_stay(store):
    complaint(store)
    told = ("alert:a1:summary", "alert:a10:summary", "monitor.clock")
    with store.write() as connection:
        for name in told:
            ticks.set_stage(connection, name, ticks.State({"said": "In other words"}))
    assert erase(store, "customer-7", who="ann", now=8.0) == Erased(1, 3, 1)
    with store.read() as connection:
        one, other = documents.many(connection, ["d1", "d2"]).values()
        assert (one.text, one.url, one.meta, one.vector, one.story) == ("", "", None, None, "s9")
        assert one.erased == 8.0
        assert (other.text, other.erased) == ("Another one", None)
        assert documents.mentions_of(connection, ["d1"])["d1"][0].surface == ""
        assert ticks.of_series(connection, "loan", "*", 0.0, 9999.0)[0].stories == 2
        evidence = alerts.get(connection, "a1").evidence
        assert evidence["stories"] == [{"id": "s9", "text": ERASED, "headline": ERASED, "heat": 2}]
        assert (evidence["topic"], evidence["words"]) == ("loan", ["loan", "bank"])
        assert notices.waiting(connection, "desk")[0].body == {"text": ERASED}
        said = {one.id: (one.prediction, one.correction, one.comment) for _, one in interactions.since(connection)}
        assert said == {
            "i1": (None, ERASED, ""),
            "i2": (None, None, ""),
            "i3": (None, None, ""),
            "i4": (None, None, "stays"),
        }
        assert [ticks.stage(connection, name) is None for name in told] == [True, False, False]
        (entry,) = audit.listing(connection)
        assert entry.what == "erase" and entry.details["documents"] == 1 and "customer-7" not in str(entry)
        assert audit.verify(connection) is None
    assert erase(store, "customer-7", who="ann", now=9.0, also=["d2"]).documents == 1
    with store.read() as connection:
        assert documents.get(connection, "d2").text == ""


def test_what_is_erased_is_not_on_the_disk_any_more(tmp_path, store):
    if store.kind != "sqlite":
        pytest.skip("where PostgreSQL keeps its rows is its own affair")
    complaint(store)

    def on_disk():
        return any(b"Mustermann" in item.read_bytes() for item in tmp_path.iterdir() if item.is_file())

    store.vacuum()
    assert on_disk()
    erase(store, "customer-7", who="ann", now=8.0)
    assert not on_disk()


@given(st.text(min_size=12, max_size=200).filter(lambda text: text.strip() == text), st.text(max_size=20))
def test_whatever_quotes_a_secret_is_erased(secret, around):
    value = {"a": [around + secret + around, 7, None], "b": {"c": secret}}
    assert without(value, [secret]) == {"a": [ERASED, 7, None], "b": {"c": ERASED}}
    assert without({"label": "loan", "n": 0.5}, [secret + "."]) == {"label": "loan", "n": 0.5}
