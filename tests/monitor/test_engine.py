"""The whole way of the sample month: what is planted is found, and no restart, batch or kill changes anything."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest
from monitor import sample_month

from metier.apps.monitor import engine
from metier.apps.monitor.engine import Intake, Monitor
from metier.apps.monitor.item import Received, SeriesKey
from metier.apps.monitor.normalise import Normaliser
from metier.apps.monitor.sources import Batch
from metier.errors import StoreError, StoreGone
from metier.sample import month
from metier.store import alerts, contents, documents, notices, stories, tables
from metier.store.store import Store

DAYS = 17


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return sample_month.archive(tmp_path_factory.mktemp("month"), DAYS)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, file: Path) -> Iterator[Monitor]:
    with Store.open(tmp_path_factory.mktemp("store") / "monitor.db") as store:
        made = sample_month.monitor(store, file)
        made.run()
        made.end()
        yield made


@pytest.fixture(scope="module")
def undisturbed(whole: Monitor) -> Store:
    return whole.store


def test_the_planted_surge_is_found_in_time_and_told(undisturbed: Store) -> None:
    surge = month.planted()[0]
    with undisturbed.read() as connection:
        found = alerts.listing(connection)
        told = notices.waiting(connection, "desk")
    mine = [one for one in found if one.company == "vantis-telecom"]
    assert len(mine) == 1 and mine[0].fired is not None
    assert surge.start.timestamp() < mine[0].fired < surge.start.timestamp() + 6 * 3600
    assert {(one.topic, one.company) for one in found} <= {
        ("*", "*"), ("products", "*"), ("*", "vantis-telecom"),
    }  # fmt: skip
    assert mine[0].id in {name for notice in told for name in notice.alerts}


def test_an_alert_rests_on_stories_that_are_stored(undisturbed: Store) -> None:
    with undisturbed.read() as connection:
        (alert,) = [one for one in alerts.listing(connection) if one.company == "vantis-telecom"]
        kept = stories.many(connection, alert.evidence["stories"])
        assert set(kept) == set(alert.evidence["stories"]) and len(kept) >= 3
        assert all(stories.pinned(connection, name) for name in kept)
    assert all("Vantis" in one["text"] for one in alert.evidence["stories"].values())
    assert alert.evidence["run"] == "stand-in"
    assert any(row.get("firing") for row in alert.evidence["counts"])


@pytest.mark.parametrize("batch", [7, 100])
def test_neither_batches_nor_restarts_change_what_is_stored(
    tmp_path: Path, file: Path, whole: Monitor, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BATCH", batch)
    random_ = random.Random(batch)
    path, ended = tmp_path / "monitor.db", False
    while not ended:
        with Store.open(path) as store:
            made = sample_month.monitor(store, file)
            for _ in range(random_.randint(1, 700 // batch)):
                made.step(made.intakes[0])
                ended = made.intakes[0].ended
            if ended:
                made.end()
                assert sample_month.stored(store) == sample_month.stored(whole.store)
                assert sample_month.remembered(made) == sample_month.remembered(whole)


def told(store: Store) -> set[str]:
    with store.read() as connection:
        return {row["id"] for row in contents.rows(connection, tables.notices)}


def test_two_quiet_hours_are_hours_on_the_wall_and_none_in_a_replay(
    tmp_path: Path, file: Path, whole: Monitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "BATCH", 60)
    with Store.open(tmp_path / "first.db") as store:
        made = sample_month.monitor(store, file)
        while not (before := told(store)):
            made.step(made.intakes[0])
        with store.write() as connection:
            for one in alerts.listing(connection):
                alerts.snooze(connection, one.id, 7_200.0)
    found = {}
    for live, wall in ((False, 0.0), (True, 7_200.0), (True, 7_199.0)):
        path = Path(shutil.copy(tmp_path / "first.db", tmp_path / f"{live}{wall}.db"))
        with Store.open(path) as store:
            made = sample_month.monitor(store, file)
            made.live, made.clock = live, partial(float, wall)
            made.run()
            made.end()
            found[live, wall] = told(store)
            with store.read() as connection:
                unsent = {notice.id for notice in notices.waiting(connection, "desk", 1_000)}
            assert unsent == (found[live, wall] if live else before), "what a replay tells is sent to nobody"
    assert found[False, 0.0] == found[True, 7_200.0] == told(whole.store)
    assert before <= found[True, 7_199.0] < told(whole.store), "quiet, and nothing else is told instead"


def test_the_flood_of_copies_is_one_story(tmp_path: Path) -> None:
    flood = month.planted()[2]
    with Store.open(tmp_path / "monitor.db") as store:
        made = sample_month.monitor(store, sample_month.archive(tmp_path, 21))
        made.run()
        with store.read() as connection:
            hottest = max(stories.newest(connection, limit=1000), key=lambda story: story.heat)
            companies = {one.company for one in alerts.listing(connection)}
    assert hottest.heat == flood.documents
    assert "kestrel-lane-air" not in companies


def test_a_store_that_is_away_is_waited_for(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "PAUSE", 0.01)
    with Store.open(tmp_path / "monitor.db") as store:
        made = sample_month.monitor(store, file)
        run, failures = store.run, iter([StoreGone("The store is away."), StoreGone("Still.")])

        def sometimes(work: object) -> object:
            for failure in failures:
                raise failure
            return run(work)  # type: ignore[arg-type]

        monkeypatch.setattr(store, "run", sometimes)
        assert made.step(made.intakes[0]).new == engine.BATCH
        with store.read() as connection:
            assert sum(story.heat for story in stories.newest(connection, limit=1000)) == engine.BATCH


def test_what_was_committed_without_an_answer_is_not_written_twice(tmp_path: Path, file: Path) -> None:
    with Store.open(tmp_path / "monitor.db") as store:
        made = sample_month.monitor(store, file)
        run, broken = store.run, [StoreGone("The connection broke while a transaction was committed.")]

        def commits_and_breaks(work: object) -> object:
            result = run(work)  # type: ignore[arg-type]
            if broken:
                raise broken.pop()
            return result

        store.run = commits_and_breaks  # type: ignore[method-assign, assignment]
        engine_pause, engine.PAUSE = engine.PAUSE, 0.01
        try:
            made.step(made.intakes[0])
        finally:
            engine.PAUSE = engine_pause
        with store.read() as connection:
            assert sum(story.heat for story in stories.newest(connection, limit=1000)) == engine.BATCH
        assert SeriesKey() in made.alarm.detectors.places


def test_two_that_count_in_one_store_lose_nothing(tmp_path: Path, file: Path) -> None:
    path, acknowledged = tmp_path / "monitor.db", list[int]()
    with Store.open(path) as first, Store.open(path) as second:
        one, other = sample_month.monitor(first, file), sample_month.monitor(second, file)
        acknowledged += [one.step(one.intakes[0]).new]
        document = Received("wire", {"id": "other", "text": "Vantis Telecom apologises"}, 1.7e9)
        with pytest.raises(StoreError, match="Another process counts"):
            other.take([document], Normaliser(), written=lambda: acknowledged.append(1))
        acknowledged += [one.step(one.intakes[0]).new]
        with first.read() as connection:
            assert documents.count(connection) == sum(acknowledged)


def test_a_clock_that_is_ten_years_ahead_for_a_moment_leaves_today_to_count(tmp_path: Path) -> None:
    now = [1_750_000_000.0]
    with Store.open(tmp_path / "monitor.db") as store:
        made = Monitor(sample_month.plan(), store, [], patience=1800.0, clock=lambda: now[0])

        def looked() -> None:
            made.run(hear=lambda done: made.stop())
            made.stopped.clear()

        def late() -> int:
            content = {"text": f"Vantis Telecom at {now[0]}", "time": now[0]}
            return made.take([Received("wire", content, now[0])], Normaliser()).late

        assert late() == 0
        made.intakes = [Intake(Silence(), Normaliser())]
        now[0] += 10 * 365 * 86_400
        looked()
        assert made.counter.begin == made.counter.gap - made.counter.gap % 3600
        made = Monitor(sample_month.plan(), store, made.intakes, patience=1800.0, clock=lambda: now[0])
        looked()
        now[0] -= (10 * 365 - 4) * 86_400
        assert late() == 0


class Silence:
    """A source that has nothing."""

    name = "silence"

    def read(self, position: str, limit: int, wait: float) -> Batch:
        return Batch((), position)

    def acknowledge(self, position: str) -> None: ...

    def close(self) -> None: ...


def killed(file: Path, place: str, after: float) -> bool:
    """Runs the monitor in a process that is killed after some seconds; whether it had ended by then."""
    code = (
        "import sys; from pathlib import Path; from metier.store.store import Store; from monitor import sample_month\n"
        "store = Store.open(sys.argv[2]); made = sample_month.monitor(store, Path(sys.argv[1]))\n"
        "print('go', flush=True); made.run(); made.end(); store.close()"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", code, str(file), place]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        with suppress(subprocess.TimeoutExpired):
            process.wait(after)
        process.send_signal(signal.SIGKILL)
        return process.wait() == 0


def test_kill_9_loses_nothing_and_counts_nothing_twice(
    place: str, file: Path, undisturbed: Store, kills: int = 3
) -> None:
    random_ = random.Random(5)
    for _ in range(kills):
        killed(file, place, random_.uniform(0.0, 1.5))
    while not killed(file, place, 120.0):
        pass
    with Store.open(place) as store:
        assert sample_month.stored(store) == sample_month.stored(undisturbed)


@pytest.mark.soak
def test_fifty_kills_lose_nothing(place: str, file: Path, undisturbed: Store) -> None:
    test_kill_9_loses_nothing_and_counts_nothing_twice(place, file, undisturbed, kills=50)


def test_what_people_wish_is_read_from_the_store(tmp_path: Path, file: Path) -> None:
    wanted = [{"name": "company", "value": "vantis-telecom", "isRegex": False, "isEqual": True}]
    with Store.open(tmp_path / "monitor.db") as store:
        with store.write() as connection:
            alerts.silence(connection, alerts.Silence(wanted, 0.0, 2e9, "ann"))
            alerts.watch(connection, alerts.Watchlist("mine", "ann", companies=["vantis-telecom"]))
        sample_month.monitor(store, file).run()
        with store.read() as connection:
            (alert,) = [one for one in alerts.listing(connection) if one.company == "vantis-telecom"]
            told = {name for notice in notices.waiting(connection, "desk") for name in notice.alerts}
    assert alert.details["watched"] is True
    assert alert.id not in told
