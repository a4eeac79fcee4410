"""Passages: how long they are, where they end, and that their ids change only with them."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from metier.data.papers.paper import Limits, Piece, paper_of
from metier.data.papers.passages import changes, passages, words

SENTENCE = "The fee is charged once a month and can be changed at any time."  # 13 words
CHINESE = "每月收取一次年费，客户可以随时在手机上修改。"


def paper(*pieces, path="a.md", title="Fees"):
    return paper_of(path, title, [Piece(*piece) for piece in pieces], Limits())


def many(count, sentence=SENTENCE, glue=" "):
    return glue.join(f"{sentence[:-1]} {at}{sentence[-1]}" for at in range(count))


def test_headings_part_and_name_passages():
    found = passages(
        paper(("text", "Before."), ("heading", "Fees", 1), ("heading", "Cards", 2), ("text", "One."),
              ("heading", "Abroad", 3), ("text", "Two."), ("heading", "Loans", 2), ("text", "Three."))
    )  # fmt: skip
    assert [(one.heading, one.text) for one in found] == [
        ("", "Before."), ("Cards", "One."), ("Cards > Abroad", "Two."), ("Loans", "Three."),
    ]  # fmt: skip
    assert {one.title for one in found} == {"Fees"}


def test_length_in_words_and_characters():
    english = passages(paper(*[("text", many(3)) for _ in range(8)]))
    assert all(60 <= words(one.text) <= 120 for one in english)
    chinese = passages(paper(("text", many(60, CHINESE, ""))))
    assert all(120 <= len(one.text) <= 330 for one in chinese[:-1])


def test_a_long_sentence_is_cut_and_a_rest_joins():
    found = passages(paper(("text", "word, " * 400 + "end."), ("text", "Short rest.")))
    assert all(words(one.text) <= 150 for one in found) and found[-1].text.endswith("Short rest.")
    letters = passages(paper(("text", "x" * 10_000)))
    assert "".join(one.text for one in letters) == "x" * 10_000 and max(len(one.text) for one in letters) <= 3_000


def test_lines_stay_whole():
    table = "\n".join(f"country {at} | {at} % | yes. No! ok" for at in range(60))
    found = passages(paper(("lines", table)))
    assert len(found) > 1 and [line for one in found for line in one.text.split("\n")] == table.split("\n")


def test_ids_are_stable_and_differ():
    pieces = [("heading", "A", 1), ("text", many(8)), ("heading", "B", 1), ("text", "Same."), ("text", many(9)),
              ("heading", "C", 1), ("text", "Same.")]  # fmt: skip
    old = passages(paper(*pieces))
    assert len({one.id for one in old}) == len(old)
    new = passages(paper(("heading", "Zero", 1), ("text", "New text."), *pieces))
    found = changes(old, new)
    assert [one.text for one in found.added] == ["New text."] and not found.removed
    assert {one.id for one in found.moved} == {one.id for one in old}
    elsewhere = changes(old, passages(paper(*pieces, path="b.md")))
    assert len(elsewhere.added) == len(elsewhere.removed) == len(old)
    assert changes(old, old) == type(found)((), (), ())


def test_a_change_touches_little():
    rng = random.Random(1)
    texts = [many(rng.randint(2, 7)) + f" Part {at}." for at in range(60)]
    old = passages(paper(*[("text", text) for text in texts]))
    texts[20] = "Another paragraph. " + texts[20]
    found = changes(old, passages(paper(*[("text", text) for text in texts])))
    assert len(found.added) <= 4 and len(found.removed) <= 4


blocks = st.lists(
    st.tuples(
        st.sampled_from(["heading", "text", "text", "lines"]),
        st.text(alphabet="ab cd. A!。，一二\n1", min_size=1, max_size=400),
        st.integers(1, 3),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=150, deadline=None)
@given(blocks, st.integers(1, 40))
def test_passages_are_stretches_of_the_text(pieces, most):
    one = paper(("text", "begin"), *pieces)
    found = passages(one, max(1, most // 2), most)
    end = 0
    for passage in found:
        assert one.text[passage.start : passage.start + len(passage.text)] == passage.text == passage.text.strip()
        assert passage.start >= end
        end = passage.start + len(passage.text)
    assert len({passage.id for passage in found}) == len(found)
    kept = "".join("".join(passage.text.split()) for passage in found)
    assert kept == "".join("".join(block.text.split()) for block in one.blocks if block.kind != "heading")
