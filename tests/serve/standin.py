"""A model that needs no weights: what it says follows from the text alone. Also a program that serves it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from metier.errors import DataError
from metier.types import Document, Prediction, Span

ABOUT = {
    "name": "standin-20260101-000000",
    "version": "0123456789abcdef" * 4,
    "backbone": "minilm",
    "created": "2026-01-01T00:00:00Z",
    "heads": {
        "sentiment": {
            "task": "classify",
            "labels": ["negative", "neutral", "positive"],
            "headline": {"name": "accuracy", "value": 0.9312, "interval": [0.918, 0.944]},
        },
        "topic": {
            "task": "multilabel",
            "labels": ["earnings", "mergers", "people", "regulation"],
            "headline": {"name": "micro-F1", "value": 0.871, "interval": [0.85, 0.89]},
        },
        "entities": {
            "task": "tag",
            "labels": ["COMPANY", "MONEY"],
            "headline": {"name": "strict F1", "value": 0.8, "interval": [0.78, 0.82]},
        },
        "urgency": {
            "task": "score",
            "labels": [],
            "headline": {"name": "Pearson", "value": 0.71, "interval": [0.66, 0.75]},
        },
    },
}
UP, DOWN = ("rose", "profit", "增长"), ("fell", "loss", "下降")
NAMES = {"Nokia": "COMPANY", "腾讯": "COMPANY", "EUR": "MONEY"}


class Standin:
    """Counts words, for `delay` seconds a batch `pace` a text. `EXPLODE` is a fault, `REFUSE` a sender's mistake."""

    def __init__(self, delay: float = 0.0, *, pace: float = 0.0, **about: object) -> None:
        self.delay, self.pace, self.about = delay, pace, dict(ABOUT) | about
        self.batches: list[int] = []

    def describe(self) -> dict[str, object]:
        return self.about

    def predict(self, documents: list[Document]) -> list[dict[str, Prediction]]:
        self.batches.append(len(documents))
        time.sleep(self.delay + self.pace * len(documents))
        if any(document.text == "EXPLODE" for document in documents):
            raise ZeroDivisionError("secret detail of the fault")
        if any(document.text == "REFUSE" for document in documents):
            raise DataError("A text has no marks.", expected="<e1> and <e2>")
        return [_answer(document) for document in documents]


def _answer(document: Document) -> dict[str, Prediction]:
    text = document.text + (document.pair or "")
    up, down = (sum(word in text for word in words) for words in (UP, DOWN))
    weights = {"negative": 1.0 + 6 * down, "neutral": 2.0, "positive": 1.0 + 6 * up}
    shares = {label: weight / sum(weights.values()) for label, weight in weights.items()}
    label = max(shares, key=shares.__getitem__)
    topics = {"earnings": 0.9 if up + down else 0.2, "mergers": 0.1, "people": 0.3, "regulation": 0.05}
    spans = tuple(
        Span(at, at + len(name), kind, name, 0.9)
        for name, kind in NAMES.items()
        if (at := document.text.find(name)) >= 0
    )
    return {
        "sentiment": Prediction(label, shares[label], shares[label] < 0.55, shares),
        "topic": Prediction(tuple(name for name, p in topics.items() if p > 0.5), 0.8, False, topics),
        "entities": Prediction(spans, 0.9),
        "urgency": Prediction(len(text) / 100, 1.0),
    }


def announce(address: str) -> None:
    sys.stdout.write(address + "\n")
    sys.stdout.flush()


def main() -> None:
    """`python standin.py --port 0`: prints the address, then serves until a signal."""
    from metier.serve import Limits, Settings, serve

    flags = argparse.ArgumentParser()
    flags.add_argument("--delay", type=float, default=0.0)
    flags.add_argument("--pace", type=float, default=0.0)
    flags.add_argument("--port", type=int, default=0)
    flags.add_argument("--page", action="store_true")
    flags.add_argument("--keys", type=Path)
    flags.add_argument("--run", action="append", default=[], help="One more run, of this name")
    flags.add_argument("--limit", action="append", default=[], help="NAME=NUMBER of Limits")
    said = flags.parse_args()
    limits = {name: float(value) if "." in value else int(value) for name, value in (x.split("=") for x in said.limit)}
    settings = Settings(port=said.port, page=said.page, api_key_file=said.keys, limits=Limits(**limits))
    # The further runs are of one head and read pairs, so that they can be told from the first.
    heads = {"urgency": ABOUT["heads"]["urgency"]}
    more = [Standin(said.delay, pace=said.pace, name=name, version=name, pair=True, heads=heads) for name in said.run]
    serve([Standin(said.delay, pace=0 if more else said.pace), *more], settings, announce=announce)


if __name__ == "__main__":
    main()
