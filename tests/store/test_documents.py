"""Documents, mentions, stories, ticks, positions, quarantine: what goes in comes out, in a stated order."""

from __future__ import annotations

import numpy as np
import pytest
from filled import document
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metier.store import documents, positions, quarantine, stories, ticks
from metier.store.columns import canonical, clean
from metier.store.documents import StoredMention
from metier.store.quarantine import Quarantined
from metier.store.stories import StoredStory
from metier.store.ticks import State, StoredTick


def test_a_document_comes_back_as_it_was(store):
    one = document(1, meta={"z": 1, "a": [1.5, None]}, topics=[{"label": "x", "score": 1 / 3}], subject="c7")
    with store.write() as connection:
        assert documents.add(connection, [one]) == {"d1"}
        back = documents.get(connection, "d1")
        assert documents.get(connection, "d2") is None
    assert back is not None and back.number == 1
    assert (back.meta, back.topics, back.subject, back.time) == (dict(one.meta), one.topics, "c7", 1001.0)


def test_the_same_document_twice_is_one(store):
    with store.write() as connection:
        assert documents.add(connection, [document(1), document(2), document(1, text="other")]) == {"d1", "d2"}
        assert documents.add(connection, [document(2, text="other"), document(3)]) == {"d3"}
        assert [one.id for one in documents.arrived(connection)] == ["d1", "d2", "d3"]
        assert "other" not in [one.text for one in documents.arrived(connection)]
        documents.put(connection, [document(2, text="other"), document(2, text="last")])
        assert documents.get(connection, "d2").text == "last"
        assert [one.id for one in documents.arrived(connection)] == ["d1", "d2", "d3"]
        assert documents.add(connection, []) == set()


def test_the_order_of_arrival_is_kept_in_batches_of_any_size(store):
    ids = [f"{(at * 7919) % 3000:04d}" for at in range(3000)]
    at = 0
    with store.write() as connection:
        for size in (1, 700, 3, 1500, 796):
            documents.add(connection, [_named(id) for id in ids[at : at + size]])
            at += size
    with store.read() as connection:
        assert [one.id for one in documents.arrived(connection)] == ids
        assert documents.known(connection, [*ids, "no"]) == set(ids)
        assert len(documents.many(connection, ids)) == 3000
        page = list(documents.arrived(connection, after=10, limit=2))
        assert [one.number for one in page] == [11, 12]


def _named(id: str) -> documents.StoredDocument:
    return documents.StoredDocument(id, id, 1.0, 1.0)


def test_pages_by_time_are_the_same_everywhere(store):
    """Order by code points: upper case first, then lower, then Chinese, as Python sorts."""
    names = ["b", "A", "a", "Z", "石", "é", "-", "_"]
    with store.write() as connection:
        documents.add(connection, [documents.StoredDocument(name, "", 5.0, 5.0) for name in names])
    with store.read() as connection:
        seen, after = [], None
        while page := list(documents.between(connection, 0.0, 6.0, after=after, limit=3)):
            seen += [one.id for one in page]
            after = (page[-1].time, page[-1].id)
        assert seen == sorted(names)
        assert not list(documents.between(connection, 0.0, 5.0))


def test_mentions_and_names_that_nobody_knows(store):
    with store.write() as connection:
        documents.add(connection, [document(1), document(2)])
        found = [StoredMention("d1", "acme", 10, 14, "Acme", "exact", 0.5, {"label": "negative"})]
        documents.mention(connection, [*found, StoredMention("d1", "bmw", 0, 3), StoredMention("d2", "acme", 0, 4)])
        documents.mention(connection, found)
        assert [one.company for one in documents.mentions_of(connection, ["d1", "d2"])["d1"]] == ["bmw", "acme"]
        assert documents.mentions_of(connection, ["d1"])["d1"][1] == found[0]
        assert [one.id for one in documents.naming(connection, "acme", 0.0, 2000.0)] == ["d2", "d1"]
        documents.unlink(connection, {"Initech": 2, "Hooli": 1}, 5.0)
        documents.unlink(connection, {"Hooli": 4}, 6.0)
        assert documents.unlinked_names(connection) == [("Hooli", 5, 6.0), ("Initech", 2, 5.0)]
        documents.link(connection, ["Hooli"])
        assert documents.unlinked_names(connection) == [("Initech", 2, 5.0)]


def test_stories(store):
    found = [StoredStory(f"s{at}", f"d{at}", float(at), float(at + 10), 1, [{"label": "x"}]) for at in range(5)]
    with store.write() as connection:
        documents.add(connection, [document(1, story=None), document(2, story=None)])
        documents.assign(connection, {"d2": "s1", "d1": "s1"})
        assert [one.id for one in documents.of_story(connection, "s1")] == ["d1", "d2"]
        stories.put(connection, found)
        stories.put(connection, [StoredStory("s1", "d1", 1.0, 99.0, 7)])
        assert stories.get(connection, "s1").heat == 7 and stories.get(connection, "no") is None
        assert [one.id for one in stories.alive(connection, 12.0)] == ["s2", "s3", "s4", "s1"]
        assert [one.id for one in stories.newest(connection, 2)] == ["s4", "s3"]
        assert [one.id for one in stories.newest(connection, 2, before=(3.0, "s3"))] == ["s2", "s1"]
        assert list(stories.many(connection, ["s0", "no"])) == ["s0"]
        documents.pin(connection, "story", ["s0"], "person:ann")
        documents.pin(connection, "story", ["s0"], "person:ann")
        assert stories.pinned(connection, "s0") and not stories.pinned(connection, "s1")
        assert documents.pinned(connection, "person:ann") == {"story": ["s0"]}
        documents.unpin(connection, "person:ann")
        assert not stories.pinned(connection, "s0")


def test_the_busiest_series_of_an_axis(store):
    with store.write() as connection:
        counts = {
            ("x", "*"): (5, 2),
            ("y", "*"): (9, 3),
            ("*", "acme"): (4, 4),
            ("*", "*"): (9, 9),
            ("x", "acme"): (4, 4),
        }
        for start in (0.0, 900.0, 1800.0):
            rows = [StoredTick(*key, start, many, bad, heat=many) for key, (many, bad) in counts.items()]
            ticks.put(connection, rows)
        found = ticks.busiest(connection, 900.0, 2700.0, "topic")
        assert [(one.topic, one.company, one.stories, one.negatives) for one in found] == [
            ("y", "*", 18, 6), ("x", "*", 10, 4),
        ]  # fmt: skip
        assert all(type(one.negatives) is int for one in found)
        assert [one.company for one in ticks.busiest(connection, 0.0, 1.0, "company")] == ["acme"]
        assert len(ticks.busiest(connection, 0.0, 1.0, "topic", 1)) == 1


def test_ticks_are_put_and_added(store):
    with store.write() as connection:
        ticks.put(connection, [StoredTick("x", "*", 900.0, 2, 1, 0, -0.5, 3, 9), StoredTick("x", "acme", 900.0, 1)])
        more = [StoredTick("x", "*", 900.0, 1, heat=2), StoredTick("x", "*", 900.0, 1), StoredTick("x", "*", 1800.0, 4)]
        ticks.add(connection, more)
        assert ticks.of_series(connection, "x", "*", 0.0, 1800.0) == [StoredTick("x", "*", 900.0, 4, 1, 0, -0.5, 5, 9)]
        assert [tick.stories for tick in ticks.between(connection, 0.0, 9999.0)] == [4, 4, 1]
        assert ticks.span(connection) == (900.0, 1800.0)
        assert ticks.keys(connection) == [("x", "*"), ("x", "acme")]
        ticks.put(connection, [StoredTick("x", "*", 900.0, np.int64(8), sentiment=np.float32(0.5), open=False)])
        (back,) = ticks.of_series(connection, "x", "*", 900.0, 901.0)
        assert back == StoredTick("x", "*", 900.0, 8, sentiment=0.5, open=False)


def test_states_come_back_bit_for_bit(store):
    state = State({"sum": 0.1 + 0.2, "high": float("inf"), "list": [1e-320, 2**70]}, bytes(range(256)), 900.0)
    with store.write() as connection:
        assert ticks.state(connection, "x", "*") is None and ticks.stage(connection, "mark") is None
        ticks.remember(connection, {("x", "*"): State(1), ("a", "b"): state})
        ticks.remember(connection, {("x", "*"): state})
        ticks.set_stage(connection, "mark", state)
    with store.read() as connection:
        assert list(ticks.remembered(connection)) == [(("a", "b"), state), (("x", "*"), state)]
        assert ticks.state(connection, "a", "b") == ticks.stage(connection, "mark") == state


def test_positions_and_quarantine(store):
    with store.write() as connection:
        positions.put(connection, {"feed": "1", "file": "2"}, 1.0)
        positions.put(connection, {"feed": "3"}, 2.0)
        positions.forget(connection, "file")
        assert positions.get(connection) == {"feed": "3"}
        quarantine.add(connection, [Quarantined("feed", f"{{{at}", "not JSON", 1.0) for at in range(3)])
        quarantine.add(connection, [])
        assert quarantine.counts(connection) == {"feed": 3}
        first, second, _ = quarantine.waiting(connection)
        quarantine.replayed(connection, [first.number], 5.0)
        assert next(quarantine.waiting(connection, limit=1)) == second and quarantine.counts(connection) == {"feed": 2}


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(), max_size=20), min_size=1, max_size=8))
def test_any_text_is_kept_and_every_character_stays_where_it_was(store, texts):
    """NUL, halves of surrogate pairs, anything: what no database takes becomes one U+FFFD."""
    with store.write() as connection:
        documents.put(connection, [documents.StoredDocument(f"t{at}", text, 1.0, 1.0, meta={text: [text]})
                                   for at, text in enumerate(texts)])  # fmt: skip
        found = documents.many(connection, [f"t{at}" for at in range(len(texts))])
    for at, text in enumerate(texts):
        back = found[f"t{at}"].text
        assert back == clean(text) and len(back) == len(text)
        assert all(new == old or (new == "\ufffd" and (old == "\x00" or "\ud800" <= old <= "\udfff"))
                   for new, old in zip(back, text, strict=True))  # fmt: skip


def test_one_json_text_for_one_value():
    assert canonical({"b": (1, 2.0), "a": np.float64(0.1), "c": {3, 1}}) == '{"a":0.1,"b":[1,2.0],"c":[1,3]}'
    with pytest.raises(TypeError, match="no JSON form"):
        canonical(object())
