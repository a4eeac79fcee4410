"""What a fitted encoder must beat to be worth its cost: two systems that fit in seconds and know no language.

`majority` looks at the labels alone. `lexical` looks at the words: TF-IDF and a linear model, and for `tag` the most
frequent tag of each word. Both answer with `Prediction`s, so that the task judges them exactly as it judges the model.
"""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

import numpy as np

from metier.evaluate import lexical
from metier.types import Document, Prediction, Span, Target

TITLES: dict[str, dict[str, str]] = {
    "majority": {
        "classify": "Majority class",
        "relate": "Majority class",
        "multilabel": "Most frequent label set",
        "score": "Mean of the training values",
        "tag": "No entities at all",
        "mention": "Majority class",
    },
    "lexical": {
        "classify": "TF-IDF + logistic regression",
        "relate": "TF-IDF + logistic regression",
        "multilabel": "TF-IDF + logistic regression",
        "score": "TF-IDF + ridge regression",
        "tag": "Most frequent tag of each word",
        "mention": "TF-IDF of text and neighbourhood + logistic regression",
        "embed": "TF-IDF cosine",
    },
}
"""The baselines and what they are for each kind of task; a kind that is missing has no such baseline."""

FIT_ROWS = 30_000
"""A baseline is fitted on at most this many training texts, drawn at random."""
CLASSES = 300
"""Only this many of the most frequent labels are ever answered."""
CHOSEN = 0.3
"""The probability at which one of several labels is given: half the F1 that is hoped for (Lipton et al., 2014)."""
AROUND = 40
"""Characters on each side of a mention that count as said of it."""
Answer = Callable[[Sequence[Document], Sequence[str], Sequence[Document]], "list[Prediction] | None"]


def baselines(
    kind: str, documents: Sequence[Document], targets: Sequence[Target], unseen: Sequence[Document], *, seed: int = 0
) -> dict[str, list[Prediction]]:
    """Every baseline that makes sense for a kind of task, fitted on the training documents.

    Args:
        documents, targets: the training split, of equal length.
        unseen: the documents to answer.

    Returns:
        A prediction for each of `unseen`, by the name of the baseline (a key of `TITLES`).
    """
    known = _sample(len(documents), seed)
    if len(known) < len(documents):
        documents, targets = [documents[i] for i in known], [targets[i] for i in known]
    found = {}
    if kind in TITLES["majority"]:
        found["majority"] = majority(kind, targets, unseen)
    if kind in TITLES["lexical"] and (words := by_words(kind, documents, targets, unseen, seed=seed)) is not None:
        found["lexical"] = words
    return found


def majority(kind: str, targets: Sequence[Target], unseen: Sequence[Document]) -> list[Prediction]:
    """The same answer to everything: the commonest target, the mean of numbers, no span at all."""
    if kind == "tag" or not targets:
        return [Prediction((), 1.0)] * len(unseen)
    if kind == "mention":
        return _each_mention((), targets, unseen, lambda known, labels, asked: majority("classify", labels, asked))
    if kind == "score":
        return [Prediction(float(np.mean(np.array(targets, dtype=np.float64))), 1.0)] * len(unseen)
    commonest, count = Counter(targets).most_common(1)[0]
    return [Prediction(commonest, count / len(targets))] * len(unseen)


def by_words(
    kind: str, documents: Sequence[Document], targets: Sequence[Target], unseen: Sequence[Document], *, seed: int = 0
) -> list[Prediction] | None:
    """The baseline that sees words, or `None` where it cannot be fitted (one class, no pair, no word)."""
    if kind == "tag":
        return _frequent_tags(documents, cast("Sequence[tuple[Span, ...]]", targets), unseen)
    if kind == "mention":
        return _each_mention(documents, targets, unseen, partial(by_words, "classify", seed=seed))
    if kind == "embed":
        return _cosine(documents, unseen)
    train, held = lexical.features(kind, documents, unseen)
    if train.shape[1] == 0:
        return None
    if kind == "score":
        return _ridge(train, targets, held)
    if kind == "multilabel":
        return _one_vs_rest(train, cast("Sequence[tuple[str, ...]]", targets), held, seed)
    # Measured: a pair has three times the features, of which most are noise (AFQMC loses four points at 10).
    strength = 1.0 if documents[0].pair is not None else 10.0
    return _logistic(train, [str(target) for target in targets], held, strength=strength, seed=seed)


def _each_mention(
    documents: Sequence[Document], targets: Sequence[Target], unseen: Sequence[Document], answer: Answer
) -> list[Prediction]:
    """The answers of a system for single labels about each mention: a pair of its text and what stands around it."""
    spans = [cast("tuple[Span, ...]", target) for target in targets]
    labels = [span.label for own in spans for span in own]
    known = [
        _around(document, span.start, span.end) for document, own in zip(documents, spans, strict=False) for span in own
    ]
    asked = [_around(document, *place) for document in unseen for place in document.mentions or ()]
    said = iter(answer(known, labels, asked) or [Prediction("", 0.0)] * len(asked))
    found = []
    for document in unseen:
        own_said = [(place, next(said)) for place in document.mentions or ()]
        marked = [
            Span(*place, str(one.label), score=one.score, probabilities=one.probabilities) for place, one in own_said
        ]
        found.append(Prediction(tuple(marked), min((span.score for span in marked), default=1.0)))
    return found


def _around(document: Document, start: int, end: int) -> Document:
    """A text beside its words within `AROUND` characters of a mention, without the mention itself."""
    text = document.text
    return Document(text, f"{text[max(0, start - AROUND) : start]} {text[end : end + AROUND]}", document.id)


def _sample(n: int, seed: int) -> np.ndarray:
    if n <= FIT_ROWS:
        return np.arange(n)
    return np.sort(np.random.default_rng(seed).choice(n, FIT_ROWS, replace=False))


def _logistic(train: Any, targets: Sequence[str], held: Any, *, strength: float, seed: int) -> list[Prediction] | None:
    frequent = [label for label, _ in Counter(targets).most_common(CLASSES)]
    if len(frequent) < 2:
        return None
    # With two classes the second is the complement of the first.
    fitted = frequent[:1] if len(frequent) == 2 else frequent
    columns = np.array(targets)[:, None] == np.array(fitted)[None, :]
    probabilities = _probabilities(train, columns, held, strength=strength, seed=seed)
    if len(frequent) == 2:
        probabilities = np.hstack([probabilities, 1 - probabilities])
    best = probabilities.argmax(axis=1)
    score = probabilities.max(axis=1) / np.maximum(probabilities.sum(axis=1), 1e-12)
    return [Prediction(frequent[at], float(p)) for at, p in zip(best, score, strict=True)]


def _one_vs_rest(train: Any, targets: Sequence[tuple[str, ...]], held: Any, seed: int) -> list[Prediction] | None:
    counts = Counter(label for labels in targets for label in set(labels))
    frequent = [label for label, count in counts.most_common(CLASSES) if count < len(targets)]
    if not frequent:
        return None
    columns = np.array([[label in labels for label in frequent] for labels in map(set, targets)])
    probabilities = _probabilities(train, columns, held, strength=10.0, seed=seed)
    chosen = probabilities >= CHOSEN
    sure = np.where(chosen, probabilities, 1 - probabilities).prod(axis=1)
    return [
        Prediction(tuple(frequent[at] for at in np.flatnonzero(row)), float(p))
        for row, p in zip(chosen, sure, strict=True)
    ]


def _probabilities(train: Any, columns: np.ndarray, held: Any, *, strength: float, seed: int) -> np.ndarray:
    """`(rows, labels)` probabilities of one logistic regression a label.

    liblinear, one label against the rest: on Banking77 and CLINC150 it took half the time of a multinomial lbfgs or
    of SGD and was a little more accurate.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    found = np.zeros((held.shape[0], columns.shape[1]), dtype=np.float32)
    # The dual took half the time of the primal on the 119 labels of Reuters, and the same on Banking77.
    fit = LogisticRegression(C=strength, solver="liblinear", dual=True, tol=0.01, max_iter=200, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the bound on the iterations bounds the time
        for at in range(columns.shape[1] if held.shape[0] else 0):
            found[:, at] = fit.fit(train, columns[:, at]).predict_proba(held)[:, 1]
    return found


def _ridge(train: Any, targets: Sequence[Target], held: Any) -> list[Prediction]:
    from sklearn.linear_model import Ridge

    values = np.array(targets, dtype=np.float64)
    fitted = Ridge(alpha=1.0, solver="sparse_cg", tol=1e-3).fit(train, values)
    found = np.asarray(fitted.predict(held)) if held.shape[0] else np.zeros(0)
    return [Prediction(float(value), 1.0) for value in np.clip(found, values.min(), values.max())]


def _cosine(documents: Sequence[Document], unseen: Sequence[Document]) -> list[Prediction] | None:
    if any(document.pair is None for document in unseen):
        return None
    left, right = lexical.sides(documents, unseen)
    cosine = np.asarray(left.multiply(right).sum(axis=1)).ravel()
    return [Prediction(float(value), 1.0) for value in np.clip(cosine, 0.0, 1.0)]


def _frequent_tags(
    documents: Sequence[Document], targets: Sequence[tuple[Span, ...]], unseen: Sequence[Document]
) -> list[Prediction]:
    counts: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for document, spans in zip(documents, targets, strict=True):
        words = lexical.words(document)
        for (start, end), tag in zip(words, _tags(words, spans), strict=True):
            counts[document.text[start:end]][tag] += 1
    commonest = {word: tags.most_common(1)[0][0] for word, tags in counts.items()}
    found = []
    for document in unseen:
        words = lexical.words(document)
        tags = [commonest.get(document.text[start:end], "O") for start, end in words]
        found.append(Prediction(_spans(document.text, words, tags), 1.0))
    return found


def _tags(words: Sequence[tuple[int, int]], spans: Sequence[Span]) -> list[str]:
    """The BIO tag of each word; a word belongs to the first span that holds its first character."""
    tags, ordered, at = [], sorted(spans, key=lambda span: (span.start, span.end)), 0
    opened = -1
    for start, _ in words:
        while at < len(ordered) and ordered[at].end <= start:
            at += 1
        if at < len(ordered) and ordered[at].start <= start:
            tags.append(("I-" if opened == at else "B-") + ordered[at].label)
            opened = at
        else:
            tags.append("O")
    return tags


def _spans(text: str, words: Sequence[tuple[int, int]], tags: Sequence[str]) -> tuple[Span, ...]:
    """The spans of BIO tags; an `I-` that continues nothing opens a span."""
    found: list[tuple[int, int, str]] = []
    previous = "O"
    for (start, end), tag in zip(words, tags, strict=True):
        if tag.startswith("I-") and previous[2:] == tag[2:]:
            found[-1] = (found[-1][0], end, tag[2:])
        elif tag != "O":
            found.append((start, end, tag[2:]))
        previous = tag
    return tuple(Span(start, end, label, text[start:end]) for start, end, label in found)
