"""Stories: the same whatever the batches, after a restart, and with as many texts as there is room for."""

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metier.apps.monitor.item import Item
from metier.apps.monitor.stories.assign import Assigned, Kept, Stories, StorySettings, bands, cosine, packed
from metier.errors import RecipeError

SUBJECTS = ("Tesco", "Wipro", "Infosys", "Barclays", "Vodafone", "Unilever", "Glencore", "Santander")
VERBS = ("cuts", "plans", "delays", "reviews", "defends", "reports")
OBJECTS = (
    "jobs at its northern plants",
    "a large bond sale in Asia",
    "its dividend for another year",
    "talks with unions",
)


def item(id, text, time=0.0):
    return Item(id=str(id), text=text, time=float(time), received=float(time))


def stream(seed, count, spread=50.0):
    """Headlines of few templates, with copies, out of order."""
    rng = random.Random(seed)
    found = []
    for at in range(count):
        text = f"{rng.choice(SUBJECTS)} {rng.choice(VERBS)} {rng.choice(OBJECTS)}"
        text = rng.choice(("{}", "{}", "UPDATE 1-{}", "{} - Reuters", "{}, analysts in London say")).format(text)
        found.append(item(at, text, at * 10 + rng.uniform(-spread, spread)))
    return found


def stories_of(answers):
    return [(one.id, one.story, one.how, one.near) for one in answers]


def kept(items, answers):
    return [Kept(i.id, i.text, i.time, a.story, a.vector) for i, a in zip(items, answers, strict=True)]


def test_copies_join_the_first_and_others_do_not():
    found = Stories().assign(
        [
            item("a", "Fed raises rates, stocks fall"),
            item("b", "UPDATE 1-FED RAISES RATES; STOCKS FALL"),
            item("c", "Fed raises rates, stocks fall as investors flee - Reuters"),
            item("d", "Fed raises rates, stocks rise"),
            item("e", "央行下调存款准备金率0.5个百分点"),
            item("f", "快讯：央行下调存款准备金率0.5个百分点_新浪财经"),
            item("g", "央行下调存款准备金率0.25个百分点"),
        ]
    )
    assert [one.story for one in found] == ["a", "a", "a", "d", "e", "e", "g"]
    assert [one.how for one in found] == ["first", "same", "near", "first", "first", "same", "first"]
    assert found[0].new and not found[1].new and found[2].near == "a" and 0.7 <= found[2].similarity < 1


def test_a_story_does_not_wander_off_from_link_to_link():
    chain = [
        "Market column: buyers return to shipping shares",
        "Market column: buyers return",
        "Market column: buyers return after poor figures from carmakers and airlines",
        "Poor figures from carmakers and airlines",
    ]
    loose = Stories(StorySettings(first=0.0)).assign([item(at, text) for at, text in enumerate(chain)])
    assert {one.story for one in loose} == {"0"}
    assert [one.story for one in Stories().assign([item(at, text) for at, text in enumerate(chain)])] != ["0"] * 4


def test_short_texts_match_exactly_only():
    found = Stories().assign([item(1, "Oil up"), item(2, "OIL UP!"), item(3, "Oil up 2"), item(4, ""), item(5, " ")])
    assert [one.story for one in found] == ["1", "1", "3", "4", "4"]


@settings(max_examples=25)
@given(st.integers(0, 10_000), st.lists(st.integers(1, 40), min_size=1, max_size=8), st.sampled_from([5, 20, 1_000]))
def test_batches_change_nothing(seed, sizes, limit):
    items = stream(seed, 120)
    chosen = StorySettings(window=300.0, limit=limit)
    whole = Stories(chosen).assign(items)
    stories, cut, at = Stories(chosen), [], 0
    while at < len(items):
        size = sizes[at % len(sizes)]
        cut += stories.assign(items[at : at + size])
        at += size
    assert stories_of(cut) == stories_of(whole)


@settings(max_examples=40)
@given(
    st.integers(0, 10_000), st.integers(0, 120), st.sampled_from([4, 15, 1_000]), st.sampled_from([10.0, 200.0, 600.0])
)
def test_a_rebuilt_state_goes_on_the_same(seed, cut, limit, spread):
    items = stream(seed, 160, spread)
    chosen = StorySettings(window=300.0, limit=limit)
    one = Stories(chosen)
    before = one.assign(items[:cut])
    last = max((i.time for i in items[:cut]), default=0.0)
    rows = [row for row in kept(items[:cut], before) if row.time >= last - chosen.window]
    other = Stories.rebuild(rows, chosen)
    assert len(other) == len(one)
    assert stories_of(other.assign(items[cut:])) == stories_of(one.assign(items[cut:]))


def test_a_story_ends_with_the_window_of_its_first_document():
    stories = Stories(StorySettings(window=100.0))
    text = "Tesco delays its dividend for another year"
    found = stories.assign([item(at, text, at) for at in range(0, 301, 50)])
    assert [one.story for one in found] == ["0", "0", "0", "150", "150", "150", "300"]


def test_a_late_document_joins_but_is_not_joined():
    stories = Stories(StorySettings(window=100.0))
    found = stories.assign(
        [
            item("a", "Tesco delays its dividend for another year", 1_000),
            item("late copy", "Tesco delays its dividend for another year", 10),
            item("late", "Wipro plans a large bond sale in Asia", 10),
            item("b", "Wipro plans a large bond sale in Asia", 1_000),
        ]
    )
    assert [one.story for one in found] == ["a", "a", "late", "b"] and len(stories) == 2


def test_beyond_the_limit_what_would_end_first_is_forgotten():
    stories = Stories(StorySettings(window=1e6, limit=2))
    texts = ("Tesco delays its dividend", "Wipro plans a bond sale", "Glencore defends its chief executive")
    stories.assign([item(at, text, at) for at, text in enumerate(texts)])
    assert len(stories) == 2
    found = stories.assign([item("old", texts[0], 10), item("new", texts[2], 11)])
    assert [one.story for one in found] == ["old", "2"]


def test_a_doubtful_pair_is_settled_by_its_vectors():
    one, other = "Santander chief steps aside after review", "Santander boss steps aside after review"
    near, far = np.ones(8), np.array([1.0, -1.0] * 4)
    for vectors, joins in (((near, near), True), ((near, far), False), ((near, None), False), (None, False)):
        found = Stories().assign([item(1, one), item(2, other)], vectors)
        assert (found[1].story == "1") is joins and found[1].how == ("vector" if joins else "first")


def test_vectors_survive_a_restart():
    one, other = "Santander chief steps aside after review", "Santander boss steps aside after review"
    rng = np.random.default_rng(13)
    vectors = rng.normal(size=(2, 32)) * 0.01 + rng.normal(size=32)
    first = Stories().assign([item(1, one)], vectors[:1])
    rebuilt = Stories.rebuild(kept([item(1, one)], first))
    assert rebuilt.assign([item(2, other)], vectors[1:])[0].how == "vector"


def test_packed_vectors_keep_their_cosine():
    rng = np.random.default_rng(13)
    for _ in range(20):
        a, b = rng.normal(size=(2, 384))
        b = a + b * rng.uniform(0, 2)
        true = a @ b / np.linalg.norm(a) / np.linalg.norm(b)
        assert cosine(packed(a), packed(b)) == pytest.approx(true, abs=0.01)
    assert packed(None) is None and packed(np.zeros(3)) is None and packed([np.nan, 1.0]) is None
    assert cosine(packed([1.0]), packed([1.0, 2.0])) == 0


def test_copies_share_every_band_and_strangers_none():
    keys = bands(["Tesco delays its dividend for another year", "tesco delays its DIVIDEND for another year - Reuters",
                  "Glencore defends talks with unions", "Oil up", "OIL UP"])  # fmt: skip
    assert (keys[0] == keys[1]).all() and (keys[3] == keys[4]).all() and keys.dtype == np.uint32
    assert not ((keys[0] == keys[2]) & (keys[0] != 0)).any()


def test_a_flood_of_copies_takes_one_place():
    stories = Stories(StorySettings(limit=10))
    text = "Tesco delays its dividend for another year"
    found = stories.assign([item(at, text, at) for at in range(3_000)])
    assert {one.story for one in found} == {"0"} and len(stories) == 1 and len(stories._ends) < 2 * 10 + 1_001


@pytest.mark.parametrize("wrong", [{"sure": 0.4}, {"doubtful": 0.0}, {"window": 0.0}, {"limit": 0}, {"sure": 1.5}])
def test_settings_that_make_no_sense_are_refused(wrong):
    with pytest.raises(RecipeError, match="Stories have"):
        StorySettings(**wrong)


def test_an_answer_has_names():
    assert Assigned._fields == ("id", "story", "new", "similarity", "how", "near", "vector")
