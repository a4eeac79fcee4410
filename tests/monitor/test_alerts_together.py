"""From ticks to a webhook: alerts, notices and outbox together, stopped and gone on with in the middle."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monitor.listener import Listener, listening

from metier.apps.monitor.alerts.dispatch import Dispatcher
from metier.apps.monitor.alerts.life import Book, Seen
from metier.apps.monitor.alerts.notices import Outbox, Outcome, Shelf, Waiting, sender
from metier.apps.monitor.alerts.routes import AlertsPart
from metier.apps.monitor.item import EVERYTHING, SeriesKey, Signal

STEP = 900.0
SERIES = [SeriesKey("fraud"), SeriesKey("fraud", "Acme"), SeriesKey("rates", "Acme"), SeriesKey()]


class Engine:
    """A monitor in small: one transaction a batch, everything in one file."""

    def __init__(self, path: Path, part: AlertsPart) -> None:
        self.part, self.base = part, sqlite3.connect(path, check_same_thread=False)
        self.base.executescript(
            "create table if not exists state (name text primary key, value text);"
            "create table if not exists notices (place integer primary key, id text unique, body text, state text)"
        )
        states = {name: json.loads(value) for name, value in self.base.execute("select name, value from state")}
        self.book = Book(part.rules(), states.get("book"))
        self.dispatcher = Dispatcher(part.routing(), states.get("dispatcher"))

    def batch(self, ticks: Sequence[int]) -> None:
        for tick in ticks:
            end = (tick + 1) * STEP
            changed = [self.book.observe(seen(series, tick, end)) for series in SERIES]
            for notice in self.dispatcher.tick(end, [one for one in changed if one]):
                row = (notice.id, json.dumps(notice.body))
                self.base.execute("insert into notices (id, body, state) values (?, ?, 'waiting')", row)
        for name, state in (("book", self.book.state()), ("dispatcher", self.dispatcher.state())):
            self.base.execute("insert or replace into state values (?, ?)", (name, json.dumps(state)))
        self.base.commit()

    def send(self) -> None:
        def waiting(receiver: str, most: int) -> list[Waiting]:
            rows = self.base.execute("select id, body from notices where state = 'waiting' order by place").fetchall()
            return [Waiting(name, receiver, json.loads(body), time.time()) for name, body in rows]

        def mark(outcome: Outcome) -> None:
            self.base.execute("update notices set state = ? where id = ?", (outcome.state, outcome.id))
            self.base.commit()

        Outbox({"desk": sender(self.part.receivers[0], {})}, Shelf(waiting, mark), {"desk": 6_000}).send_due("desk")


def seen(series: SeriesKey, tick: int, end: float) -> Seen:
    """`fraud` as a whole is on from tick 4 to 9, its company from 3 to 12, `rates` of the company at 20."""
    on = {SERIES[0]: range(4, 10), SERIES[1]: range(3, 13), SERIES[2]: range(20, 21)}.get(series, range(0))
    firing = ("cusum",) if tick in on else ()
    count = 30 if firing else 2
    return Seen(
        series, Signal(tick * STEP, 2.0, 0.0, 5.0, count, {"cusum": float(count)}, {"cusum": 10.0}, firing), end
    )


def told(there: Listener) -> list[tuple[str, list[tuple[str, str, str]]]]:
    found = []
    for _, headers, body in there.asked:
        said: dict[str, Any] = json.loads(body)
        alerts = [(a["labels"].get("company", EVERYTHING), a["status"], a["startsAt"]) for a in said["alerts"]]
        found.append((headers["idempotency-key"] + " " + said["groupKey"], alerts))
    return found


def settings(url: str) -> AlertsPart:
    receiver = {"name": "desk", "url": url, "allow_private": True}
    return AlertsPart.read({"receiver": "desk", "keep": 2, "receivers": [receiver]})


def test_the_same_is_told_whatever_the_batches_and_however_often_it_is_stopped(tmp_path: Path) -> None:
    found = []
    for name, cuts in (("whole", [(0, 30)]), ("parts", [(0, 1), (1, 5), (5, 6), (6, 11), (11, 30)])):
        with listening() as there:
            for start, end in cuts:
                engine = Engine(tmp_path / f"{name}.db", settings(there.url))
                engine.batch(range(start, end))
                engine.send()
                engine.base.close()
            found.append(told(there))
    assert found[0] == found[1]
    said = [(key.partition(" ")[2].partition(":")[2], alerts) for key, alerts in found[0]]
    at = lambda tick: f"1970-01-01T{tick * 15 // 60:02}:{tick * 15 % 60:02}:00Z"  # noqa: E731
    assert said == [
        ('{topic="fraud"}', [("Acme", "firing", at(4))]),
        ('{topic="fraud"}', [("*", "firing", at(5))]),  # it goes over its company from now on
        ('{topic="fraud"}', [("*", "resolved", at(5)), ("Acme", "firing", at(4))]),
        ('{topic="fraud"}', [("Acme", "resolved", at(4))]),
        ('{topic="rates"}', [("Acme", "firing", at(21))]),
        ('{topic="rates"}', [("Acme", "resolved", at(21))]),
    ]
