"""Two million documents through everything but the model: does memory stay flat, and the cost of a document the same?

The documents are invented (`invented`): 30,000 a day, a story window of three days that is full within the first tenth,
829 series, ticks of 15 minutes. They are checked, linked to companies, put into stories, counted, watched and stored.
What it costs to make them up is left out. `work=FOLDER` keeps the store: a run that was cut off goes on where it was.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from statistics import mean
from typing import Any

from benchmarks import invented
from metier.apps.monitor.engine import Done, Intake, Monitor
from metier.apps.monitor.normalise import Normaliser
from metier.run import write_text
from metier.store.store import Store

BARS = {"last tenth to first": 1.1, "memory": "flat after the window fills"}


class Tenths:
    """Watches a replay; after each tenth of the stream its figures are written down.

    Args:
        monitor: that replays.
        source: of the stream.
        file: of the figures so far.
        asked: what they are figures of.
    """

    def __init__(self, monitor: Monitor, source: invented.Source, file: Path, asked: dict[str, Any]) -> None:
        self.monitor, self.source, self.file, self.asked = monitor, source, file, asked
        self.size = source.end // 10
        self.done: list[dict[str, Any]] = self._known()
        self.alerts = 0
        self._begin()

    def _known(self) -> list[dict[str, Any]]:
        if not self.file.is_file():
            return []
        found = json.loads(self.file.read_text(encoding="utf-8"))
        return list(found["tenths"]) if found["asked"] == self.asked else []

    def _begin(self) -> None:
        self.at = int(self.monitor.positions.get(self.source.name, 0))
        self.cpu, self.wall = time.process_time(), time.perf_counter()
        self.made = (self.source.seconds, self.source.wall)
        self.most, self.stores = 0.0, 0.0

    def __call__(self, done: Done) -> None:
        """After each step."""
        self.alerts += sum(alert.starts_at == alert.updated_at for one in done.raised for alert in one.alerts)
        self.most = max(self.most, invented.resident())
        if self.source.at // self.size > len(self.done) or self.source.at >= self.source.end:
            self._end()

    def _end(self) -> None:
        documents = self.source.at - self.at
        cpu = time.process_time() - self.cpu - (self.source.seconds - self.made[0])
        wall = time.perf_counter() - self.wall - (self.source.wall - self.made[1])
        self.done.append({
            "documents": documents,
            "microseconds of processor a document": round(1e6 * cpu / max(1, documents), 1),
            "documents/s": round(documents / wall, 1),
            "memory_mib": {"most": round(self.most, 1), "end": round(invented.resident(), 1)},
            "texts in the window": len(self.monitor.stories),
            "series": len(self.monitor.alarm.detectors.places),
            "store_mib": round(self.monitor.store.size() / 2**20, 1),
        })  # fmt: skip
        write_text(self.file, json.dumps({"asked": self.asked, "tenths": self.done}, indent=1) + "\n")
        print(f"tenth {len(self.done)}: {self.done[-1]}", file=sys.stderr, flush=True)
        self._begin()


def replayed(folder: Path, stream: invented.Stream, documents: int, store: str) -> list[dict[str, Any]]:
    """All tenths."""
    asked = {"documents": documents, "a_day": stream.a_day, "seed": stream.seed, "store": store.partition(":")[0]}
    place = store if "://" in store else str(folder / f"long-{documents}-{stream.a_day:.0f}.db")
    with Store.open(place) as opened:
        source = invented.Source(stream, documents)
        made = Monitor(invented.plan(stream), opened, [Intake(source, Normaliser())], clock=lambda: invented.START)
        watch = Tenths(made, source, folder / f"long-{documents}-{stream.a_day:.0f}.json", asked)
        if source.end > int(made.positions.get(source.name, 0)):
            made.run(hear=watch)
            made.end()
    return watch.done


def judged(tenths: list[dict[str, Any]]) -> dict[str, Any]:
    """First against last, and whether memory grew after the window had filled."""
    costs = [one["microseconds of processor a document"] for one in tenths]
    most = [one["memory_mib"]["most"] for one in tenths]
    full = [at for at, one in enumerate(tenths) if at and one["texts in the window"] > 0]
    return {
        "last tenth to first": round(costs[-1] / costs[0], 3),
        "last tenth to second": round(costs[-1] / costs[1], 3),
        "memory, tenth by tenth": most,
        "growth a tenth after the second, MiB": round(_slope(most[1:]), 2),
        "documents/s": round(mean(one["documents/s"] for one in tenths), 1),
        "window full from tenth": full[0] + 1 if full else None,
        "tenths": tenths,
    }


def _slope(values: list[float]) -> float:
    """Of the line of least squares through values one apart."""
    if len(values) < 2:
        return 0.0
    middle, level = (len(values) - 1) / 2, mean(values)
    return sum((at - middle) * (value - level) for at, value in enumerate(values)) / sum(
        (at - middle) ** 2 for at in range(len(values))
    )


def run(documents: int = 2_000_000, a_day: float = 30_000, work: str = "", store: str = "sqlite") -> dict[str, Any]:
    """The figures.

    Args:
        documents: of the stream; a tenth should be more than three days of it.
        a_day: of them come.
        work: a folder in which the store stays (some gigabytes).
        store: `sqlite`, or the address of an empty PostgreSQL database.
    """
    with ExitStack() as stack:
        folder = Path(work or stack.enter_context(tempfile.TemporaryDirectory())).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        stream = invented.Stream(a_day)
        return {
            "documents": documents,
            "a day": a_day,
            **judged(replayed(folder, stream, documents, store)),
            "bars": BARS,
        }
