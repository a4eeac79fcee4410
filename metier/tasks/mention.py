"""One label for each of several names in a text: `X beats forecasts as Y warns`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from metier.errors import DataError
from metier.tasks import scaling, tables
from metier.tasks.classify import Classify
from metier.tasks.tag import spans_of
from metier.tasks.task import IGNORE, Encoding, Task
from metier.types import Document, Prediction, Span, Target

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import torch
    from torch import nn

UNANSWERED = "(no answer)"
"""What a mention is counted as of which no token is left in its text: it lies behind the end of a truncated one."""


class Mention(Task):
    """Chooses one of the labels for each mention of a text, from the hidden states of its tokens.

    A mention is a stretch of the text, from `Document.mentions`; targets and answers are spans, one a mention. The head
    answers for every token, from its hidden state and the pooled vector, and the logits of a mention are the mean over
    its tokens: those of their mean state, for the head is linear. (TD-BERT, Gao et al. 2019, takes the maximum over the
    states of a target's tokens, and no pooled vector.) So any number of mentions costs one forward pass, and where they
    are may be found out after it.

    `Span.score` is the calibrated probability of a mention's label, `Prediction.score` the least of them.
    """

    kind = "mention"
    headline_name = "accuracy"
    per_token = True

    def __init__(self, labels: Sequence[str] = (), temperature: float = 1.0) -> None:
        super().__init__(labels, temperature)
        self.index = {label: at for at, label in enumerate(self.labels)}

    @classmethod
    def build(cls, targets: Iterable[Target]) -> Mention:
        """The labels of the training mentions, sorted. Raises `DataError` when there are fewer than two."""
        labels = {span.label for target in targets for span in spans_of(target)}
        if len(labels) < 2:
            raise DataError(
                f"All mentions have the label {labels.pop()!r}." if labels else "No text has a labelled mention.",
                expected="at least two classes among the mentions of the training texts",
                hint="name the column with their names: --mention COLUMN",
            )
        return cls(sorted(labels))

    @property
    def independent(self) -> bool:
        """As in `Task`: no, the tokens of a mention answer together."""
        return False

    # -- label encoding, head and loss ---------------------------------------------------------------------------
    def encode(self, target: Target, encoding: Encoding) -> np.ndarray:
        """`mention * labels + label` for each token of a mention, `IGNORE` for all others: `(length,)`.

        A token in two mentions counts for the shorter one.
        """
        codes = np.full(len(encoding.ids), IGNORE, dtype=np.int64)
        for at, span in enumerate(sorted(spans_of(target), key=lambda span: span.start - span.end)):
            if span.label in self.index:
                own = _within(encoding.start, encoding.end, span.start, span.end)
                codes[own & (encoding.sequence == 0)] = at * len(self.labels) + self.index[span.label]
        return codes

    def head(self, width: int) -> nn.Module:
        """Dropout and a linear layer on every hidden state and on the pooled vector."""
        from metier.tasks.heads import Mentions

        return Mentions(width, len(self.labels))

    def loss(self, logits: torch.Tensor, targets: torch.Tensor, options: Mapping[str, Any]) -> torch.Tensor:
        """Cross entropy of the mean logits of each mention, whatever its length."""
        from metier.tasks.heads import cross_entropy, mention_means

        means, wanted, _ = mention_means(logits, targets, len(self.labels))
        return cross_entropy(means, wanted, options)

    # -- decoding ------------------------------------------------------------------------------------------------
    def merge(self, rows: Sequence[np.ndarray], encodings: Sequence[Encoding]) -> np.ndarray:
        """Logits a token of the text, `(tokens, labels)`: each from the window in which most context surrounds it."""
        window, place, _, _ = _tokens(encodings)
        merged = np.zeros((len(place), len(self.labels)), dtype=np.float32)
        for at, row in enumerate(rows):
            merged[window == at] = row[place[window == at]]
        return merged

    def decode(self, logits: Sequence[np.ndarray], pieces: Sequence[Sequence[Encoding]]) -> list[Prediction]:
        """The likeliest label of each mention of each document, as spans in the order of the text.

        Nothing is said where a document names no mention, nor of one that lies behind the end of a truncated text.
        """
        documents = [encodings[0].document for encodings in pieces[: len(logits)]]
        asked = [sorted(set(document.mentions or ())) for document in documents]
        owner, places, means = self._means(logits, pieces, asked)
        probabilities = scaling.softmax(means, self.temperature).tolist()
        found: list[list[Span]] = [[] for _ in documents]
        for own, (start, end), row in zip(owner, places, probabilities, strict=True):
            best = int(np.argmax(row))
            said = dict(zip(self.labels, row, strict=True))
            found[own].append(Span(start, end, self.labels[best], documents[own].text[start:end], row[best], said))
        return [Prediction(tuple(spans), min((span.score for span in spans), default=1.0)) for spans in found]

    def _means(
        self,
        logits: Sequence[np.ndarray],
        pieces: Sequence[Sequence[Encoding]],
        asked: Sequence[Sequence[tuple[int, int]]],
    ) -> tuple[list[int], list[tuple[int, int]], np.ndarray]:
        """Of each mention that has tokens: its document, where it is, and its mean logits `(mentions, labels)`."""
        owner, places, means = [], [], []
        for at, (tokens, encodings, mentions) in enumerate(zip(logits, pieces, asked, strict=False)):
            _, _, starts, ends = _tokens(encodings) if mentions else (None, None, None, None)
            for start, end in mentions:
                own = _within(starts, ends, start, end)
                if own.any():
                    owner.append(at)
                    places.append((start, end))
                    means.append(tokens[own].mean(axis=0, dtype=np.float64))
        return owner, places, np.stack(means) if means else np.zeros((0, len(self.labels)))

    def calibrate(
        self, logits: Sequence[np.ndarray], golds: Sequence[Target], pieces: Sequence[Sequence[Encoding]] = ()
    ) -> None:
        """Fits the temperature on the labelled mentions; labels that training never saw are left out."""
        known = [{(span.start, span.end): span.label for span in spans_of(gold)} for gold in golds]
        owner, places, means = self._means(logits, pieces, [list(mentions) for mentions in known])
        if len(means):
            labels = [known[own][place] for own, place in zip(owner, places, strict=True)]
            gold = np.array([self.index.get(label, IGNORE) for label in labels], dtype=np.int64)
            self.temperature = scaling.fit_temperature(means, gold)

    # -- metrics -------------------------------------------------------------------------------------------------
    def each(self, golds: Sequence[Target], predictions: Sequence[Prediction]) -> tuple[list[Target], list[Prediction]]:
        """The labelled mentions of all documents, one after another: what each is, and what was said of it."""
        wanted: list[Target] = []
        said: list[Prediction] = []
        for gold, prediction in zip(golds, predictions, strict=True):
            answers = {(span.start, span.end): span for span in prediction.label}
            for span in spans_of(gold):
                answer = answers.get((span.start, span.end), Span(span.start, span.end, UNANSWERED, score=0.0))
                wanted.append(span.label)
                said.append(Prediction(answer.label, float(answer.score), probabilities=answer.probabilities))
        return wanted, said

    def confidence(self, predictions: Sequence[Prediction], golds: Sequence[Target]) -> tuple[np.ndarray, np.ndarray]:
        """As `Task.confidence`, of each labelled mention: `(mentions,)`."""
        wanted, said = self.each(golds, predictions)
        return super().confidence(said, wanted)

    def metrics(
        self, golds: Sequence[Target], predictions: Sequence[Prediction], documents: Sequence[Document] = ()
    ) -> dict[str, Any]:
        """As `Classify.metrics` over all labelled mentions, and how many these are."""
        wanted, said = self.each(golds, predictions)
        return {**Classify(self.labels).metrics(wanted, said), "mentions": len(wanted)}

    def statistics(self, golds: Sequence[Target], predictions: Sequence[Prediction]) -> np.ndarray:
        """Per document: mentions that are right, and mentions: mentions of one text are not drawn apart."""
        rows = []
        for gold, prediction in zip(golds, predictions, strict=True):
            wanted, said = self.each([gold], [prediction])
            rows.append((sum(p.label == label for p, label in zip(said, wanted, strict=True)), len(wanted)))
        return np.array(rows, dtype=np.float64).reshape(-1, 2)

    def headline(self, sums: np.ndarray) -> np.ndarray:
        """Accuracy of `(..., 2)` sums."""
        return tables.ratio(sums[..., 0], sums[..., 1])


def _within(starts: Any, ends: Any, start: int, end: int) -> np.ndarray:
    """Which tokens share a character with `start` to `end`."""
    found: np.ndarray = (starts < end) & (ends > start)
    return found


def _tokens(pieces: Sequence[Encoding]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The tokens of a text in order: `(window, place in it, start, end)`, each `(tokens,)`.

    A token that two windows share is taken from the one where it is farther from an edge.
    """
    places = [np.flatnonzero(encoding.sequence == 0) for encoding in pieces]
    start, end = (
        np.concatenate([getattr(encoding, side)[own] for encoding, own in zip(pieces, places, strict=True)])
        for side in ("start", "end")
    )
    window = np.repeat(np.arange(len(pieces)), [len(own) for own in places])
    place = np.concatenate(places)
    if len(pieces) == 1:
        return window, place, start, end
    room = np.concatenate([np.minimum(own, len(e.ids) - 1 - own) for own, e in zip(places, pieces, strict=True)])
    order = np.lexsort((-room, start))
    _, first = np.unique(start[order], return_index=True)
    kept = order[first]
    return window[kept], place[kept], start[kept], end[kept]
