"""Tagging: offsets survive every script, only legal sequences come out, figures are seqeval's."""

from __future__ import annotations

import itertools
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from seqeval.metrics import accuracy_score
from seqeval.metrics import classification_report as seqeval_report
from seqeval.scheme import IOB2
from windows import WORD, cut, window

from metier.errors import DataError
from metier.tasks import chain
from metier.tasks.heads import chain_loss
from metier.tasks.tag import Tag
from metier.tasks.task import IGNORE, Encoding
from metier.types import Document, Prediction, Span, Target

TYPES = ("DRUG", "PLACE")
TAGS = Tag(TYPES).tags
SCRIPTS = st.text(
    alphabet="abcXY09 .,-"
    + "\u4e2d\u6587\u5317\u4eac"
    + "\U0001f600\U0001f469\u200d\ufe0f"
    + "\u05e9\u05dc\u05d5\u0645\u0631\u062d"
    + "\u0301\n\t",
    min_size=1,
    max_size=60,
)


def certain(task: Tag, target: Target, encodings: list[Encoding]) -> np.ndarray:
    """Merged logits that say the encoded target."""
    rows = []
    for encoding in encodings:
        tags = task.encode(target, encoding)
        rows.append(np.where(np.arange(len(task.tags)) == np.maximum(tags, 0)[:, None], 9.0, 0.0))
    return task.merge(rows, encodings)


@pytest.mark.parametrize("letters", [27, 28, 40, 75])
def test_a_word_longer_than_a_window_ends_where_it_ends(letters: int) -> None:
    text = f"b {'0' * letters} c"
    spans, task = (Span(2, 2 + letters, "DRUG"),), Tag(TYPES)
    encodings = cut(Document(text, id="1"), 9, stride=4)
    assert task.decode([certain(task, spans, encodings)], [encodings])[0].label == spans


@settings(max_examples=150)
@given(SCRIPTS, st.data())
def test_spans_of_whole_words_come_back(text: str, data: st.DataObject) -> None:
    words = [match.span() for match in WORD.finditer(text)]
    cuts = sorted(data.draw(st.sets(st.integers(0, len(words)), max_size=8)))
    spans = tuple(
        Span(words[first][0], words[last - 1][1], TYPES[at % 2])
        for at, (first, last) in enumerate(itertools.pairwise(cuts))
        if data.draw(st.booleans())
    )
    task = Tag(TYPES)
    document = Document(text, id="1", tokens=tuple(words) if data.draw(st.booleans()) else None)
    for length in (1000, 9):
        encodings = cut(document, length, stride=4)
        prediction = task.decode([certain(task, spans, encodings)], [encodings])[0]
        assert prediction.label == spans
        assert all(span.text == text[span.start : span.end] for span in prediction.label)
    assert not task.misfits.snapped
    assert not task.misfits.overlapping


@settings(max_examples=100)
@given(SCRIPTS, st.lists(st.tuples(st.integers(0, 60), st.integers(1, 20), st.sampled_from(TYPES)), max_size=5))
def test_any_spans_are_snapped_outward_and_counted(text: str, drawn: list[tuple[int, int, str]]) -> None:
    spans = tuple(Span(start, min(start + size, len(text)), label) for start, size, label in drawn if start < len(text))
    task, encodings = Tag(TYPES), cut(Document(text, id="1"))
    found = task.decode([certain(task, spans, encodings)], [encodings])[0].label
    words = [match.span() for match in WORD.finditer(text)]
    lonely = [span for span in spans if not any(other != span and _share(other, span, words) for other in spans)]
    for span in lonely if len(set(spans)) == len(spans) else []:
        own = [word for word in words if word[0] < span.end and word[1] > span.start]
        if own:
            assert Span(own[0][0], own[-1][1], span.label) in found
            inside = own[0][0] < span.start or own[-1][1] > span.end
            assert (("1", span.start, span.end, span.label) in task.misfits.snapped) == inside


def _share(one: Span, other: Span, words: list[tuple[int, int]]) -> bool:
    return any(start < one.end and end > one.start and start < other.end and end > other.start for start, end in words)


def test_subwords_and_special_tokens_have_no_target() -> None:
    encoding = cut(Document("aspirin in Rome"))[0]
    tags = Tag(TYPES).encode((Span(0, 7, "DRUG"), Span(11, 15, "PLACE")), encoding)
    assert tags.tolist() == [IGNORE, 1, IGNORE, IGNORE, 0, 3, IGNORE, IGNORE]


def test_a_window_that_opens_inside_a_span_goes_on_with_it() -> None:
    windows = cut(Document("a b c d e f"), length=4, stride=2)
    tags = [Tag(TYPES).encode((Span(2, 9, "DRUG"),), window)[1:-1].tolist() for window in windows]
    assert tags == [[0, 1, 2, 2], [2, 2, 2, 0]]


def test_overlapping_and_unknown_spans_teach_nothing_false() -> None:
    task, encoding = Tag(TYPES), cut(Document("a b c d", id="7"))[0]
    tags = task.encode((Span(0, 3, "DRUG"), Span(2, 5, "PLACE"), Span(6, 7, "NEW")), encoding)
    assert tags[1:-1].tolist() == [1, 2, IGNORE, IGNORE]
    assert task.misfits.overlapping == {("7", 2, 5, "PLACE")}


@settings(max_examples=60)
@given(st.lists(st.lists(st.lists(st.integers(-9, 9), min_size=5, max_size=5), max_size=7), max_size=5), st.booleans())
def test_only_legal_sequences_and_the_best_of_them(scores: list[list[list[int]]], crf: bool) -> None:
    arrays = [np.array(rows, dtype=np.float64).reshape(-1, 5) for rows in scores]
    learned = np.arange(25.0).reshape(5, 5) % 7 if crf else None
    model = chain.bio(2, learned)
    for rows, solved in zip(
        (a for a in arrays if len(a)), chain.solve([a for a in arrays if len(a)], model), strict=True
    ):
        names = [TAGS[tag] for tag in solved.path]
        assert all(
            not name.startswith("I-") or before in (f"B-{name[2:]}", name)
            for before, name in itertools.pairwise(["O", *names])
        )
        if len(rows) <= 4:
            totals = enumerated(rows, model)
            best = max(totals.values())
            weight = np.logaddexp.reduce(list(totals.values()))
            assert totals[tuple(solved.path.tolist())] == pytest.approx(best)
            assert solved.log_probability == pytest.approx(best - weight, abs=1e-6)


def enumerated(rows: np.ndarray, model: chain.Chain) -> dict[tuple[int, ...], float]:
    """The score of every legal sequence."""
    found = {}
    for path in itertools.product(range(5), repeat=len(rows)):
        total = model.start[path[0]] + sum(rows[at, tag] for at, tag in enumerate(path))
        total += sum(model.transitions[a, b] for a, b in itertools.pairwise(path))
        if total > chain.FORBIDDEN / 2:
            found[path] = float(total)
    return found


@pytest.mark.parametrize("crf", [False, True])
def test_span_probability_is_the_sum_over_sequences(crf: bool) -> None:
    rng = np.random.default_rng(3)
    model = chain.bio(2, rng.normal(size=(5, 5)) if crf else None)
    rows = rng.normal(size=(5, 5))
    rows[1:4, [1, 2, 2]] += 0
    rows[[1, 2, 3], [1, 2, 2]] += 6
    solved = chain.solve([rows], model)[0]
    assert solved.path.tolist()[1:4] == [1, 2, 2]
    totals = enumerated(rows, model)
    weight = np.logaddexp.reduce(list(totals.values()))
    own = [score for path, score in totals.items() if path[1:4] == (1, 2, 2) and path[4] != 2]
    assert solved.span(1, 3) == pytest.approx(np.logaddexp.reduce(own) - weight, abs=1e-9)


def test_chain_loss_is_the_negative_log_likelihood() -> None:
    generator = torch.Generator().manual_seed(0)
    unary = torch.randn(3, 6, 3, generator=generator)
    moves = torch.randn(3, 3, generator=generator)
    logits = torch.cat([unary, moves.flatten().expand(3, 6, -1)], dim=-1)
    targets = torch.tensor([[-100, 0, 1, -100, 2, -100], [-100, 1, -100, -100, -100, -100], [-100] * 6])
    expected = 0.0
    for row, places in ((0, [1, 2, 4]), (1, [1])):
        totals = {
            path: float(sum(unary[row, at, tag] for at, tag in zip(places, path, strict=True)))
            + float(sum(moves[a, b] for a, b in itertools.pairwise(path)))
            for path in itertools.product(range(3), repeat=len(places))
        }
        expected += np.logaddexp.reduce(list(totals.values())) - totals[tuple(targets[row, places].tolist())]
    assert float(chain_loss(logits, targets, 3)) == pytest.approx(expected / 4, rel=1e-5)
    assert float(chain_loss(logits, torch.full((3, 6), -100), 3)) == 0.0


def tagged(rng: np.random.Generator, words: int) -> list[str]:
    """A random legal sequence of tags."""
    tags = ["O"]
    for _ in range(words):
        legal = ["O", "B-DRUG", "B-PLACE"] + ([f"I-{tags[-1][2:]}"] * 3 if tags[-1] != "O" else [])
        tags.append(str(rng.choice(legal)))
    return tags[1:]


def spans_of_tags(tags: list[str]) -> tuple[Span, ...]:
    """The spans of words of one character with a space between them."""
    spans: list[Span] = []
    for at, tag in enumerate(tags):
        if tag.startswith("B-"):
            spans.append(Span(2 * at, 2 * at + 1, tag[2:]))
        elif tag.startswith("I-"):
            spans[-1] = Span(spans[-1].start, 2 * at + 1, tag[2:])
    return tuple(spans)


def test_report_is_seqevals() -> None:
    rng = np.random.default_rng(0)
    golds = [tagged(rng, 12) for _ in range(40)]
    found = [gold if rng.uniform() < 0.4 else tagged(rng, 12) for gold in golds]
    documents = [Document(" ".join("abcdefghijkl"), tokens=tuple((2 * at, 2 * at + 1) for at in range(12)))] * 40
    predictions = [Prediction(spans_of_tags(tags), 1.0) for tags in found]
    ours = Tag(TYPES).metrics([spans_of_tags(tags) for tags in golds], predictions, documents)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = seqeval_report(golds, found, mode="strict", scheme=IOB2, output_dict=True)
    assert ours["per_class"] == {name: pytest.approx(theirs[name]) for name in TYPES}
    for average in ("micro avg", "macro avg", "weighted avg"):
        assert ours[average] == pytest.approx(theirs[average])
    assert ours["headline"]["value"] == pytest.approx(theirs["micro avg"]["f1-score"])
    assert ours["tokens"]["accuracy"] == pytest.approx(accuracy_score(golds, found))
    from sklearn.metrics import classification_report

    flat = [list(itertools.chain(*tags)) for tags in (golds, found)]
    theirs = classification_report(*flat, labels=list(TAGS[1:]), output_dict=True, zero_division=0)
    assert ours["tokens"]["per_class"] == {name: pytest.approx(theirs[name]) for name in TAGS[1:]}
    assert ours["tokens"]["micro avg"] == pytest.approx(theirs["micro avg"])


def test_a_token_over_several_words_of_the_source_is_one_word() -> None:
    document = Document("in2009 x", tokens=((0, 2), (2, 3), (3, 4), (4, 5), (5, 6), (7, 8)), id="1")
    encodings = [window(document, [(0, 2, True), (2, 6, True), (7, 8, True)])]
    task = Tag(TYPES)
    assert task.decode([certain(task, (Span(2, 6, "DRUG"),), encodings)], [encodings])[0].label == (Span(2, 6, "DRUG"),)
    assert task.decode([certain(task, (Span(3, 5, "DRUG"),), encodings)], [encodings])[0].label == (Span(2, 6, "DRUG"),)
    assert task.misfits.snapped == {("1", 3, 5, "DRUG")}


def test_merged_windows_take_the_middle_of_each() -> None:
    windows = cut(Document("a b c d e f"), length=4, stride=2)
    rows = [np.full((6, 5), float(at)) for at in range(2)]
    assert Tag(TYPES).merge(rows, windows)[:, 0].tolist() == [0, 0, 0, 1, 1, 1]


def test_texts_without_words() -> None:
    task = Tag(TYPES)
    encodings = cut(Document(" \n"))
    merged = task.merge([np.zeros((2, 5))], encodings)
    assert task.decode([merged], [encodings])[0].label == ()
    task.calibrate([merged], [()], [encodings])
    assert task.decode([], []) == []


def test_calibration_makes_scores_honest() -> None:
    rng = np.random.default_rng(5)
    documents = [cut(Document(" ".join("abcdefgh"))) for _ in range(1200)]
    golds, logits = [], []
    for _ in documents:
        truth = rng.normal(size=(8, 3)) * [1, 2, 1] + [2, 0, -9]
        tags = [int(rng.choice(3, p=np.exp(row) / np.exp(row).sum())) for row in truth]
        golds.append(spans_of_tags([("O", "B-X", "O")[tag] for tag in tags]))
        logits.append(truth * 3)
    task = Tag(("X",))
    task.calibrate(logits[:600], golds[:600], documents[:600])
    assert task.temperature == pytest.approx(3.0, rel=0.1)
    predictions = task.decode(logits[600:], documents[600:])
    score, correct = task.confidence(predictions, golds[600:])
    assert score.mean() == pytest.approx(correct.mean(), abs=0.05)
    spans = [(s.score, s in set(gold)) for p, gold in zip(predictions, golds[600:], strict=True) for s in p.label]
    assert np.mean([score for score, _ in spans]) == pytest.approx(np.mean([right for _, right in spans]), abs=0.05)


def test_weights_a_type_become_weights_a_tag() -> None:
    logits, targets = torch.randn(2, 3, 5, generator=torch.manual_seed(0)), torch.tensor([[0, 1, 3], [4, 2, -100]])
    by_type = Tag(TYPES).loss(logits, targets, {"class_weights": np.array([2.0, 3.0])})
    by_tag = Tag(TYPES).loss(logits, targets, {"class_weights": np.array([1.0, 2.0, 2.0, 3.0, 3.0])})
    assert torch.equal(by_type, by_tag)


@pytest.mark.parametrize("targets", [[], [()], ["DRUG"], [("a", "b")]])
def test_targets_without_spans_are_refused(targets: list[Target]) -> None:
    with pytest.raises(DataError):
        Tag.build(targets)
