"""Windows, pairs and truncation: no token is lost unless it is counted."""

import numpy as np
import pytest
import toy
from tokenizers import Tokenizer

from metier.models import token_cache
from metier.models.table import Table
from metier.models.tokeniser import Tokeniser
from metier.tasks import build
from metier.types import Document, Span

LONG = " ".join(toy.FILLER * 4)
SHORT = "Berlin gains"


def made(folder, **settings):
    return Tokeniser(Tokenizer.from_file(str(folder / "tokenizer.json")), **{"max_length": 16, **settings})


def words(tokeniser, rows, row):
    ids = rows.ids[rows.bounds[row] : rows.bounds[row + 1]].tolist()
    return [tokeniser.tokenizer.id_to_token(item) for item in ids]


@pytest.mark.parametrize("stride", [0, 4, 100])
def test_windows_cover_everything_and_overlap(toy_backbone, stride):
    tokeniser = made(toy_backbone, stride=stride)
    rows = tokeniser.rows([Document(SHORT), Document(LONG)], offsets=True)
    own = np.flatnonzero(rows.owner == 1)
    assert rows.truncated == 0 and len(own) > 3 and rows.lengths.max() <= 16
    spans = [
        {
            (a, b)
            for a, b in zip(
                rows.encoding(row, Document(LONG)).start, rows.encoding(row, Document(LONG)).end, strict=True
            )
            if b > a
        }
        for row in own
    ]
    whole = {span for window in spans for span in window}
    assert len(whole) == len(LONG.split())
    shared = min(len(first & second) for first, second in zip(spans, spans[1:], strict=False))
    assert shared >= min(stride, 6)
    for row in range(len(rows)):
        assert words(tokeniser, rows, row)[0] == "[CLS]" and words(tokeniser, rows, row)[-1] == "[SEP]"


def test_truncation_is_counted(toy_backbone):
    tokeniser = made(toy_backbone, window=False)
    rows = tokeniser.rows([Document(SHORT), Document(LONG), Document(LONG)])
    assert len(rows) == 3 and rows.truncated == 2 and rows.lengths.max() == 16


def test_pairs(toy_backbone):
    tokeniser = made(toy_backbone)
    rows = tokeniser.rows([Document(SHORT, "Oslo falls")], offsets=True)
    assert words(tokeniser, rows, 0) == ["[CLS]", "berlin", "gains", "[SEP]", "oslo", "falls", "[SEP]"]
    assert rows.types.tolist() == [0, 0, 0, 0, 1, 1, 1]
    assert rows.sequence.tolist() == [-1, 0, 0, -1, 1, 1, -1]
    assert (rows.start[4], rows.end[4]) == (0, 4)


@pytest.mark.parametrize(("text", "pair", "lost"), [(SHORT, LONG, 0), (LONG, SHORT, 0), (LONG, LONG, 1)])
def test_long_pairs(toy_backbone, text, pair, lost):
    tokeniser = made(toy_backbone)
    rows = tokeniser.rows([Document(text, pair)], offsets=True)
    assert len(rows) > 1 and rows.lengths.max() <= 16 and rows.truncated == lost
    for row in range(len(rows)):
        window = rows.encoding(row, Document(text, pair))
        assert {0, 1} <= set(window.sequence.tolist())
    longer = int(len(pair) > len(text)) if text != pair else 1
    seen = {(a, b) for a, b, s in zip(rows.start, rows.end, rows.sequence, strict=True) if s == longer}
    assert len(seen) == len((pair if longer else text).split())


def test_separate_pairs(toy_backbone):
    rows = made(toy_backbone).rows([Document(SHORT, LONG), Document("Oslo falls")], separate=True)
    assert rows.owner.tolist() == [0, 0, 1] and rows.truncated == 1


def test_typed_special_tokens_are_text(toy_backbone):
    tokeniser = made(toy_backbone)
    rows = tokeniser.rows([Document("a [SEP] b")])
    assert words(tokeniser, rows, 0).count("[SEP]") == 1


def test_added_tokens_stay_whole(toy_backbone):
    tokeniser = made(toy_backbone)
    assert tokeniser.add(["<e1>", "</e1>"]) == 2 and tokeniser.add(["<e1>"]) == 0
    rows = tokeniser.rows([Document("<e1>Oslo</e1> falls")])
    assert words(tokeniser, rows, 0)[1:4] == ["<e1>", "oslo", "</e1>"]


def test_first_tokens_of_words(toy_backbone):
    text = "Berlin 42 Oslo"
    tokeniser = made(toy_backbone)
    rows = tokeniser.rows([Document(text, tokens=((0, 6), (7, 14)))], offsets=True)
    first = [(int(a), int(b)) for a, b, word in zip(rows.start, rows.end, rows.word, strict=True) if word]
    assert [a for a, _ in first] == [0, 7]


def test_empty_texts(toy_backbone):
    tokeniser = made(toy_backbone)
    rows = tokeniser.rows([Document(""), Document("", "")], offsets=True)
    assert rows.lengths.tolist() == [2, 3]
    assert len(tokeniser.rows([])) == 0


def test_count(toy_backbone):
    lengths, unknown, characters = made(toy_backbone).count(["Berlin gains", "☃☃ a", ""])
    assert (lengths[0], lengths[2]) == (4, 2) and unknown == 2 and characters == 16


def test_a_tag_over_windows(toy_backbone):
    text = " ".join([*toy.FILLER[:11], "Berlin", *toy.FILLER[:11], "Oslo"])
    golds = tuple(Span(text.index(place), text.index(place) + len(place), "LOC") for place in ("Berlin", "Oslo"))
    task = build("tag", [golds])
    table = Table.of([Document(text)], made(toy_backbone), {"tags": task})
    assert len(table.rows) > 1
    logits = []
    for row in range(len(table.rows)):
        target = task.encode(golds, table.encoding(row))
        scores = np.zeros((len(target), len(task.head(8).out.bias)), dtype=np.float32)
        scores[np.arange(len(target)), np.maximum(target, 0)] = 9.0
        logits.append(scores)
    pieces = [table.encoding(row) for row in range(len(table.rows))]
    (found,) = task.decode([task.merge(logits, pieces)], [pieces])
    assert found.label == golds and [span.text for span in found.label] == ["Berlin", "Oslo"]


def test_rows_are_cached_by_text_and_tokenizer(toy_backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("METIER_CACHE", str(tmp_path))
    heads = {"a": build("classify", ["x", "y"])}
    documents = [Document(SHORT), Document(LONG)]
    fresh = token_cache.rows(documents, made(toy_backbone), heads)
    (file,) = (tmp_path / "tokens").iterdir()
    with monkeypatch.context() as patch:
        patch.setattr(token_cache, "tokenised", lambda *_: pytest.fail("tokenised again"))
        again = token_cache.rows(documents, made(toy_backbone), heads)
    assert np.array_equal(fresh.ids, again.ids) and np.array_equal(fresh.owner, again.owner)
    token_cache.rows(documents, made(toy_backbone, max_length=12), heads)
    token_cache.rows(documents[:1], made(toy_backbone), heads)
    assert len(list((tmp_path / "tokens").iterdir())) == 3
    file.write_bytes(b"broken")
    mended = token_cache.rows(documents, made(toy_backbone), heads)
    assert np.array_equal(fresh.ids, mended.ids)


def test_a_cache_has_a_limit_and_may_fail(toy_backbone, tmp_path, monkeypatch):
    monkeypatch.setenv("METIER_CACHE", str(tmp_path))
    monkeypatch.setattr(token_cache, "LIMIT", 6000)
    heads = {"a": build("classify", ["x", "y"])}
    for at in range(6):
        token_cache.rows([Document(f"{LONG} {at}")], made(toy_backbone), heads)
    files = list((tmp_path / "tokens").iterdir())
    assert files and sum(file.stat().st_size for file in files) <= 6000
    monkeypatch.setenv("METIER_CACHE", str(tmp_path / "file"))
    (tmp_path / "file").write_text("in the way")
    assert len(token_cache.rows([Document(SHORT)], made(toy_backbone), heads)) == 1
