"""What the measurements of the monitor share: an invented stream without end, and what a run would say of it.

Headlines of eight to twelve invented words (frequencies as Zipf has them), half of them about one of the invented
companies of the sample; every fifth is a copy of an earlier one, as a wire would put it. The same number gives the same
document, so that a stream may be gone on with anywhere. Nothing of it comes from data of anybody.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from metier.apps.monitor.alerts.routes import AlertsPart
from metier.apps.monitor.companies.link import Companies
from metier.apps.monitor.detection.detectors import Settings
from metier.apps.monitor.engine import Plan
from metier.apps.monitor.item import Item, Received, Understood
from metier.apps.monitor.sources import Batch
from metier.apps.monitor.understand import Reading
from metier.sample import month
from metier.types import Prediction

START = 1_735_689_600.0
"""The first moment of 2025, UTC."""
BLOCK = 1_000
WORDS = 30_000
TOPICS = ("deals", "earnings", "markets", "people", "products", "regulation", "strikes", "weather")
TONES = ("negative", "neutral", "positive")
SHARES = (0.24, 0.42, 0.34)
COPIES = 0.2
WIRES = ("UPDATE 1-{}", "{} - Morning Wire", "BREAKING: {}", "{}...")
OUTLETS = ("Courier", "Morning Wire", "The Ledger", "Dealers' Desk")
SYLLABLES = (
    *("ba", "co", "da", "fe", "gi", "ho", "ka", "lu", "ma", "no", "pe", "ra", "so", "ta", "ve", "wi", "xo", "yu", "za"),
    *("bel", "cor", "dan", "fos", "gra", "mil", "nor", "pra", "sti", "tur", "vel"),
)


@dataclass(frozen=True, slots=True)
class Stream:
    """How the documents come.

    Args:
        a_day: documents a day of their own time, evenly.
        width: of the vectors.
        seed: of everything.
    """

    a_day: float = 30_000.0
    width: int = 384
    seed: int = 13

    def time(self, number: int) -> float:
        """When a document was published."""
        return START + number * 86_400.0 / self.a_day


@dataclass(frozen=True, slots=True)
class Block:
    """So many documents in a row: their texts, and what a run says of each."""

    texts: list[str]
    topics: list[int]
    tones: np.ndarray
    vectors: np.ndarray


@lru_cache(1)
def words(seed: int) -> tuple[list[str], np.ndarray]:
    """The words, and their cumulated frequencies."""
    draw = np.random.default_rng(seed)
    parts = draw.integers(0, len(SYLLABLES), (2 * WORDS, 4))
    sizes = draw.integers(2, 5, 2 * WORDS)
    made = dict.fromkeys(
        "".join(SYLLABLES[part] for part in row[:size]) for row, size in zip(parts, sizes, strict=True)
    )
    found = list(made)[:WORDS]
    shares = 1.0 / (np.arange(len(found)) + 20.0)
    return found, np.cumsum(shares) / shares.sum()


@lru_cache(1)
def companies() -> Companies:
    """Those of the sample."""
    return Companies.read(month.companies())


@lru_cache(2)
def block(stream: Stream, number: int) -> Block:
    """The documents from `number * BLOCK` on."""
    draw = np.random.default_rng([stream.seed, number])
    known, cumulated = words(stream.seed)
    names = [one.name for one in companies().companies.values()]
    sizes, picks = draw.integers(8, 13, BLOCK), np.searchsorted(cumulated, draw.random((BLOCK, 12)))
    named, tones = draw.integers(0, 2 * len(names), BLOCK), draw.dirichlet([2.0 * share for share in SHARES], BLOCK)
    vectors = draw.standard_normal((BLOCK, stream.width), dtype=np.float32)
    topics, texts = draw.integers(0, len(TOPICS), BLOCK).tolist(), []
    copied, sources, forms = draw.random(BLOCK) < COPIES, draw.random(BLOCK), draw.integers(0, len(WIRES), BLOCK)
    for at, (size, row) in enumerate(zip(sizes.tolist(), picks.tolist(), strict=True)):
        if at and copied[at]:
            of = int(sources[at] * at)
            texts.append(WIRES[forms[at]].format(texts[of]))
            topics[at], tones[at], vectors[at] = topics[of], tones[of], vectors[of]
            continue
        name = [names[named[at]]] if named[at] < len(names) else []
        text = " ".join([*name, *(known[word] for word in row[:size])])
        texts.append(text[0].upper() + text[1:])
    return Block(texts, topics, tones, vectors)


def received(stream: Stream, number: int) -> Received:
    """A document as a source gives it."""
    text, at = block(stream, number // BLOCK).texts[number % BLOCK], stream.time(number)
    fields = {"id": f"n{number}", "title": text, "time": at, "source": OUTLETS[number % len(OUTLETS)]}
    return Received("invented", fields, at)


@dataclass
class Reader:
    """What a run would say: companies are looked for as always, topic, sentiment and vector are made up."""

    stream: Stream

    def __call__(self, items: Sequence[Item]) -> list[Reading]:
        return [self._reading(item, int(item.id[1:])) for item in items]

    def _reading(self, item: Item, number: int) -> Reading:
        made, at = block(self.stream, number // BLOCK), number % BLOCK
        shares = dict(zip(TONES, made.tones[at].tolist(), strict=True))
        label, found = max(shares, key=shares.__getitem__), companies().find(item.text)
        topic = Prediction(TOPICS[made.topics[at]], 0.9)
        tone = Prediction(label, shares[label], probabilities=shares)
        return Reading(Understood(item, [topic], tone, found.linked, made.vectors[at]), found.unlinked)


@dataclass
class Source:
    """The stream as a source; `seconds` of processor and wall that making it took, which are nobody else's."""

    stream: Stream
    end: int
    name: str = "invented"
    seconds: float = 0.0
    wall: float = 0.0
    at: int = field(default=0, init=False)

    def read(self, position: str, limit: int, wait: float) -> Batch:
        """See `metier.apps.monitor.sources.Source`."""
        cpu, wall = time.process_time(), time.perf_counter()
        begin = int(position or 0)
        self.at = min(self.end, begin + limit)
        found = [received(self.stream, number) for number in range(begin, self.at)]
        self.seconds += time.process_time() - cpu
        self.wall += time.perf_counter() - wall
        return Batch(found, str(self.at), ended=self.at >= self.end)

    def acknowledge(self, position: str) -> None:
        """Nothing is forgotten."""

    def close(self) -> None:
        """Nothing is open."""


def plan(stream: Stream, tick: float = 900.0, **changes: Any) -> Plan:
    """The defaults of `monitor.toml`, and somebody who is told."""
    parts = AlertsPart.read({"receiver": "desk", "receivers": [{"name": "desk", "url": "http://127.0.0.1:9/"}]})
    settings: dict[str, Any] = {"companies": companies(), **changes}
    return Plan(Reader(stream), "invented", Settings(tick=tick), parts.routing(), **settings)


def batches(stream: Stream, documents: int, size: int) -> Iterator[list[Received]]:
    """The first documents of a stream, so many at a time."""
    for begin in range(0, documents, size):
        yield [received(stream, number) for number in range(begin, min(documents, begin + size))]


def resident() -> float:
    """Resident memory of this process, MiB."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    raise OSError("/proc/self/status names no VmRSS")
