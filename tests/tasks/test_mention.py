"""Mentions: pooled over their own tokens, whatever windows a text is cut into, and counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from windows import cut

from metier.errors import DataError
from metier.tasks.heads import Mentions, mention_means
from metier.tasks.mention import UNANSWERED, Mention
from metier.tasks.task import IGNORE
from metier.types import Document, Prediction, Span

TEXT = "Alpha beats forecasts as Beta Gamma warns"
ALPHA, BETA, BOTH = (0, 5), (25, 35), (25, 29)
LABELS = ("negative", "neutral", "positive")


def asked(*places: tuple[int, int]) -> Document:
    return Document(TEXT, mentions=places)


def field(encoding, values):
    """Logits a token: those of `values[word]` for the tokens of a word, nothing for others."""
    rows = np.zeros((len(encoding.ids), 3), dtype=np.float32)
    for word, logits in values.items():
        start = TEXT.index(word)
        rows[(encoding.start < start + len(word)) & (encoding.end > start) & (encoding.sequence == 0)] = logits
    return rows


def decoded(task, document, values, **windows):
    encodings = cut(document, **windows)
    merged = task.merge([field(encoding, values) for encoding in encodings], encodings)
    return task.decode([merged], [encodings])[0]


def test_each_mention_has_an_answer_of_its_own() -> None:
    task = Mention(LABELS)
    said = decoded(task, asked(BETA, ALPHA), {"Alpha": (0, 0, 3), "Beta": (4, 0, 0), "Gamma": (1, 0, 0)})
    assert [(span.start, span.end, span.text, span.label) for span in said.label] == [
        (*ALPHA, "Alpha", "positive"),
        (*BETA, "Beta Gamma", "negative"),
    ]
    # Beta has two tokens of the test's tokenizer (bet, a), Gamma two: the mean is (2.5, 0, 0)
    mean = np.exp([2.5, 0, 0]) / np.exp([2.5, 0, 0]).sum()
    assert said.label[1].score == pytest.approx(mean[0])
    assert said.label[1].probabilities == pytest.approx(dict(zip(LABELS, mean, strict=True)))
    assert said.score == min(span.score for span in said.label)


def test_nobody_asked_and_nothing_left() -> None:
    task = Mention(LABELS)
    for document in (Document(TEXT), asked(), asked((60, 70))):
        assert decoded(task, document, {}) == Prediction((), 1.0)


@given(length=st.integers(5, 20), stride=st.integers(1, 4))
def test_windows_change_nothing(length: int, stride: int) -> None:
    task = Mention(LABELS)
    values = {"Alpha": (0, 1, 3), "Beta": (4, 0, 1), "Gamma": (0, 2, 0)}
    whole = decoded(task, asked(ALPHA, BETA, BOTH), values)
    again = decoded(task, asked(ALPHA, BETA, BOTH), values, length=length, stride=stride)
    assert again.label == whole.label
    assert [span.score for span in again.label] == pytest.approx([span.score for span in whole.label])


def test_targets_name_their_mention() -> None:
    task = Mention(LABELS)
    (encoding,) = cut(asked(ALPHA, BETA))
    codes = task.encode((Span(*ALPHA, "positive"), Span(*BETA, "negative"), Span(6, 11, "unheard of")), encoding)
    assert codes.tolist()[1:3] == [5, 5]  # the second longest, of three labels, the last of them
    assert codes.tolist()[-7:] == [0, 0, 0, 0, IGNORE, IGNORE, IGNORE]
    assert (codes >= 0).sum() == 6


def test_a_token_of_two_mentions_is_the_shorter_ones() -> None:
    (encoding,) = cut(asked(BETA, BOTH))
    codes = Mention(LABELS).encode((Span(*BOTH, "positive"), Span(*BETA, "negative")), encoding)
    assert sorted(codes[codes >= 0].tolist()) == [0, 0, 5, 5]


def test_the_loss_weighs_mentions_not_tokens() -> None:
    task = Mention(("a", "b"))
    logits = torch.tensor([[[9.0, 0.0]] * 5 + [[9.0, 0.0]]])
    long, short = torch.tensor([[0, 0, 0, 0, 0, 3]]), torch.tensor([[0, IGNORE, IGNORE, IGNORE, IGNORE, 3]])
    assert float(task.loss(logits, long, {})) == pytest.approx(float(task.loss(logits, short, {})))
    assert float(task.loss(logits, torch.full((1, 6), IGNORE), {})) == 0.0


def test_the_mean_of_logits_is_the_logits_of_the_mean() -> None:
    torch.manual_seed(1)
    head, hidden, pooled = Mentions(8, 3).eval(), torch.randn(2, 6, 8), torch.randn(2, 8)
    targets = torch.tensor([[0, 0, 0, IGNORE, 4, 4], [IGNORE, 2, 2, IGNORE, IGNORE, IGNORE]])
    means, labels, rows = mention_means(head(hidden, None, pooled), targets, 3)
    states, _, _ = mention_means(hidden, targets, 3)
    assert torch.allclose(means, head(states.unsqueeze(1), None, pooled[rows])[:, 0], atol=1e-5)
    assert labels.tolist() == [0, 1, 2] and rows.tolist() == [0, 0, 1]


def test_counted_by_mention_and_drawn_by_text() -> None:
    task = Mention(LABELS)
    golds = [(Span(*ALPHA, "positive"), Span(*BETA, "negative")), (Span(*ALPHA, "neutral"),), ()]
    said = [
        Prediction((Span(*ALPHA, "positive", score=0.9), Span(*BETA, "positive", score=0.6)), 0.6),
        Prediction((), 1.0),
        Prediction((Span(*ALPHA, "neutral"),), 1.0),
    ]
    figures = task.metrics(golds, said)
    assert figures["headline"] == {"name": "accuracy", "value": pytest.approx(1 / 3)}
    assert figures["mentions"] == 3 and UNANSWERED in figures["per_class"]
    assert task.statistics(golds, said).tolist() == [[1, 2], [0, 1], [0, 0]]
    score, correct = task.confidence(said, golds)
    assert score.tolist() == [0.9, 0.6, 0.0] and correct.tolist() == [1, 0, 0]


def test_too_sure_is_cooled() -> None:
    task = Mention(("a", "b"))
    document = asked(ALPHA)
    pieces = [cut(document)] * 400
    golds = [(Span(*ALPHA, "a" if at % 5 else "b"),) for at in range(len(pieces))]
    logits = [np.tile(np.float32([8, 0]), (len(task.merge([np.zeros((60, 2))], pieces[0])), 1)) for _ in pieces]
    task.calibrate(logits, golds, pieces)
    assert task.decode(logits[:1], pieces[:1])[0].label[0].score == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("targets", [[], [()], [(Span(0, 5, "a"),)] * 3])
def test_what_cannot_be_learned(targets) -> None:
    with pytest.raises(DataError, match="at least two classes among the mentions"):
        Mention.build(targets)
