"""Labelled stretches of a text: names, chemicals, clauses."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import DataError
from metier.tasks import chain, scaling, tables, words
from metier.tasks.task import IGNORE, Encoding, Task
from metier.types import Document, Prediction, Span, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch
    from torch import nn

TOKEN = re.compile(r"[\u4e00-\u9fff\u3400-\u4dbf]|[^\W\u4e00-\u9fff\u3400-\u4dbf]+|[^\w\s]")
"""What the report counts as tokens where a source has none: Chinese characters, words, and signs."""


class Tag(Task):
    """Finds spans with one BIO tag a word, answered by the word's first token; only legal sequences are decoded.

    `Prediction.score` is the probability that the whole analysis of the text is right, `Span.score` that this very
    span is. Both come from the sums over all legal sequences, raised to an exponent that is fitted on held-out data.

    Args:
        labels: the types of spans.
        temperature: of the tags.
        crf: whether transitions between tags are learned (Lample et al. 2016). They travel beside the tags in the
            logits, `(rows, length, tags + tags * tags)`, so that nothing else needs to know of them.
        certainty: the exponent of the text's score.
        span_certainty: the exponent of a span's score.
    """

    kind = "tag"
    headline_name = "strict F1"
    per_token = True

    def __init__(
        self,
        labels: Sequence[str] = (),
        temperature: float = 1.0,
        crf: bool = False,
        certainty: float = 1.0,
        span_certainty: float = 1.0,
    ) -> None:
        super().__init__(labels, temperature)
        self.index = {label: at for at, label in enumerate(self.labels)}
        self.crf, self.certainty, self.span_certainty = crf, certainty, span_certainty
        self.misfits = words.Misfits()

    @classmethod
    def build(cls, targets: Iterable[Target]) -> Tag:
        """The types of the training spans, sorted. Raises `DataError` when there is no span."""
        labels = {span.label for target in targets for span in spans_of(target)}
        if not labels:
            raise DataError("No text has a span.", expected="spans with a start, an end and a label, or CoNLL tags")
        return cls(sorted(labels))

    def describe(self) -> dict[str, Any]:
        """As `Task.describe`, with the kind of decoding and the exponents of the scores."""
        more = {"crf": self.crf, "certainty": self.certainty, "span_certainty": self.span_certainty}
        return {**super().describe(), **more}

    @property
    def independent(self) -> bool:
        """As in `Task`; a chain ties the tokens of a text together."""
        return not self.crf

    @property
    def tags(self) -> tuple[str, ...]:
        """The names of the tags, in the order of the logits."""
        return ("O", *(f"{prefix}-{label}" for label in self.labels for prefix in "BI"))

    # -- label encoding ------------------------------------------------------------------------------------------
    def encode(self, target: Target, encoding: Encoding) -> np.ndarray:
        """A tag for the first token of each word of the text, `IGNORE` for all others: `(length,)`."""
        tags = np.full(len(encoding.ids), IGNORE, dtype=np.int64)
        tags[words.first_tokens(encoding)] = self._gold(target, words.words_of(encoding), encoding.document)
        return tags

    def _gold(self, target: Target, found: words.Words, document: Document) -> np.ndarray:
        name = document.id or document.text[:80]
        return words.tags_of(spans_of(target), found, self.index, name, self.misfits)

    # -- head and loss -------------------------------------------------------------------------------------------
    def head(self, width: int) -> nn.Module:
        """Dropout and a linear layer on every hidden state; with `crf`, the transitions beside its output."""
        from metier.tasks.heads import Tokens

        return Tokens(width, len(self.tags), transitions=self.crf)

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
        """Cross entropy a word, or the negative log-likelihood of the sequence divided by its words.

        `class_weights` has one weight a type (`O` weighs 1) or one a tag.
        """
        from metier.tasks.heads import chain_loss, cross_entropy

        if self.crf:
            return chain_loss(logits, targets, len(self.tags))
        weights = options.get("class_weights")
        if weights is not None and len(weights) == len(self.labels):
            options = {**options, "class_weights": [1.0, *np.repeat([float(weight) for weight in weights], 2)]}
        return cross_entropy(logits.flatten(0, 1), targets.flatten(), options)

    # -- decoding ------------------------------------------------------------------------------------------------
    def divergence(self, logits: torch.Tensor, others: torch.Tensor) -> torch.Tensor:
        """As `Task.divergence`, of the tags of each token; the scores of a chain's moves are left out."""
        return super().divergence(logits[..., : len(self.tags)], others[..., : len(self.tags)])

    def average(self, members: torch.Tensor) -> torch.Tensor:
        """As `Task.average`, token by token; of chains the mean logits, whose sequences have the geometric mean."""
        return members.float().mean(0) if self.crf else super().average(members)

    def sureness(self, logits: torch.Tensor) -> torch.Tensor:
        """As `Task.sureness`, of the tag of each token."""
        return super().sureness(logits[..., : len(self.tags)])

    def merge(self, rows: Sequence[np.ndarray], encodings: Sequence[Encoding]) -> np.ndarray:
        """Logits a word, `(words, outputs)`: each from the window in which it lies farthest from an edge."""
        return words.farthest_from_edges(rows, encodings)

    def decode(self, logits: Sequence[np.ndarray], pieces: Sequence[Sequence[Encoding]]) -> list[Prediction]:
        """The spans of the best legal sequence of each document, in the order of the text."""
        solved = iter(self._solve(logits))
        return [
            self._prediction(next(solved), words.all_words(encodings)) if len(rows) else Prediction((), 1.0)
            for rows, encodings in zip(logits, pieces, strict=True)
        ]

    def _solve(self, logits: Sequence[np.ndarray]) -> list[chain.Solved]:
        """The best path of every document that has words."""
        count = len(self.tags)
        scores = [np.asarray(rows[:, :count], dtype=np.float64) / self.temperature for rows in logits if len(rows)]
        learned = None
        if self.crf and scores:
            whole = next(rows for rows in logits if len(rows))
            learned = whole[0, count:].reshape(count, count) / self.temperature
        return chain.solve(scores, chain.bio(len(self.labels), learned))

    def _prediction(self, solved: chain.Solved, found: words.Words) -> Prediction:
        spans = []
        for first, last, kind in words.entities(solved.path):
            start, end = int(found.start[first]), int(found.end[last])
            score = float(np.exp(self.span_certainty * solved.span(first, last)))
            spans.append(Span(start, end, self.labels[kind], found.text[start:end], score))
        return Prediction(tuple(spans), float(np.exp(self.certainty * solved.log_probability)))

    # -- calibration ---------------------------------------------------------------------------------------------
    def calibrate(
        self, logits: Sequence[np.ndarray], golds: Sequence[Target], pieces: Sequence[Sequence[Encoding]] = ()
    ) -> None:
        """Fits the temperature of the tags (not with `crf`), then the exponents of the scores of texts and spans."""
        if not len(pieces) or not any(len(rows) for rows in logits):
            return
        if not self.crf:
            places = [words.all_words(encodings) for encodings in pieces]
            tags = [
                words.tags_of(spans_of(gold), place, self.index, "", words.Misfits())
                for gold, place in zip(golds, places, strict=True)
            ]
            self.temperature = scaling.fit_temperature(np.concatenate(list(logits)), np.concatenate(tags))
        self.certainty = self.span_certainty = 1.0
        predictions = self.decode(logits, pieces)
        score, correct = self.confidence(predictions, golds)
        pairs = [
            (span.score, span in set(spans_of(gold)))
            for prediction, gold in zip(predictions, golds, strict=True)
            for span in prediction.label
        ]
        self.certainty = scaling.fit_exponent(np.log(np.maximum(score, 1e-300)), correct)
        if pairs:
            spans = np.array(pairs, dtype=np.float64)
            self.span_certainty = scaling.fit_exponent(np.log(np.maximum(spans[:, 0], 1e-300)), spans[:, 1])

    def confidence(self, predictions: Sequence[Prediction], golds: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
        """As `Task.confidence`: right is the whole set of spans."""
        score = np.array([prediction.score for prediction in predictions], dtype=np.float64)
        right = [set(p.label) == set(spans_of(gold)) for p, gold in zip(predictions, golds, strict=True)]
        return score, np.array(right, dtype=np.float64)

    # -- metrics -------------------------------------------------------------------------------------------------
    def metrics(
        self, golds: Sequence[Target], predictions: Sequence[Prediction], documents: Sequence[Document] = ()
    ) -> dict[str, Any]:
        """Strict precision, recall and F1 of spans (same start, end and label), by type; with `documents`, per token.

        The numbers are those of seqeval's strict mode; a span counts once however often it is given.
        """
        gold, found = [set(spans_of(x)) for x in golds], [set(p.label) for p in predictions]
        seen = {span.label for spans in (*gold, *found) for span in spans}
        names = [label for label in self.labels if label in seen] + sorted(seen.difference(self.labels))
        pairs = list(zip(gold, found, strict=True))
        hits = Counter(span.label for wanted, said in pairs for span in wanted & said)
        answers = Counter(span.label for said in found for span in said)
        support = Counter(span.label for wanted in gold for span in wanted)
        counts = [np.array([counter[name] for name in names], dtype=np.float64) for counter in (hits, answers, support)]
        value = float(self.headline(self.statistics(golds, predictions).sum(axis=0)))
        return {
            "headline": {"name": self.headline_name, "value": value},
            "exact match": float(np.mean([wanted == said for wanted, said in pairs])) if pairs else 0.0,
            **tables.table(names, *counts),
            **({"tokens": token_report(gold, found, documents)} if len(documents) else {}),
        }

    def statistics(self, golds: Sequence[Target], predictions: Sequence[Prediction]) -> np.ndarray:
        """Per document: spans rightly found, spans found, spans that there are."""
        return tables.overlaps([set(spans_of(gold)) for gold in golds], [set(p.label) for p in predictions])

    def headline(self, sums: np.ndarray) -> np.ndarray:
        """Strict micro-F1 of `(..., 3)` sums."""
        return tables.f1_of(sums[..., 0], sums[..., 1], sums[..., 2])


def spans_of(target: Any) -> tuple[Span, ...]:
    """The spans of a target; raises `DataError` when it holds anything else."""
    if isinstance(target, str) or not all(isinstance(span, Span) for span in target):
        raise DataError(f"{str(target)[:60]!r} is no list of spans.", expected="spans with a start, an end and a label")
    return tuple(target)


def token_report(
    golds: Sequence[set[Span]], found: Sequence[set[Span]], documents: Sequence[Document]
) -> dict[str, Any]:
    """Accuracy over all tokens, and precision, recall and F1 of every tag but `O`.

    Tokens are those of the source, or words, signs and single Chinese characters where it has none.
    """
    wanted: list[str] = []
    said: list[str] = []
    for gold, spans, document in zip(golds, found, documents, strict=True):
        bounds = document.tokens or tuple(match.span() for match in TOKEN.finditer(document.text))
        offsets = np.array(bounds, dtype=np.int64).reshape(-1, 2)
        place = words.Words(document.text, offsets[:, 0], offsets[:, 1])
        wanted += token_tags(gold, place)
        said += token_tags(spans, place)
    names, gold_at, found_at = tables.positions(wanted, said, ("O",))
    counts = tables.confusion(gold_at, found_at, len(names))
    accuracy = float(tables.ratio(np.trace(counts), counts.sum()))
    kept = [at for at, name in enumerate(names) if name != "O"]
    columns = (np.diag(counts)[kept], counts.sum(axis=0)[kept], counts.sum(axis=1)[kept])
    return {"accuracy": accuracy, **tables.table([names[at] for at in kept], *columns)}


def token_tags(spans: Iterable[Span], place: words.Words) -> list[str]:
    """The BIO tag of each token, by name."""
    ordered = list(spans)
    types = sorted({span.label for span in ordered})
    names = ["O", *(f"{prefix}-{label}" for label in types for prefix in "BI")]
    index = {label: at for at, label in enumerate(types)}
    tags = words.tags_of(ordered, place, index, "", words.Misfits())
    return [names[max(tag, 0)] for tag in tags.tolist()]
