"""Many processes: workers that understand, of which any may die at any moment, and one process that counts."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from commands import kill, refused, started
from monitor import feeding, sample_month

from metier.apps.monitor import wire, worker
from metier.apps.monitor.engine import Intake, Monitor
from metier.apps.monitor.item import Item, Mention, Received, Understood
from metier.apps.monitor.normalise import Normaliser, Quarantined
from metier.apps.monitor.sources.redis_stream import Consumer, RedisSource
from metier.apps.monitor.sources.understood import UnderstoodSource, answers
from metier.apps.monitor.understand import Reading
from metier.apps.monitor.worker import Worker
from metier.store.store import Store
from metier.types import Prediction

redis = pytest.importorskip("redis")
np = pytest.importorskip("numpy")
pytestmark = pytest.mark.skipif(bool(feeding.redis_missing()), reason=feeding.redis_missing() or "-")
DAYS = 17
NEWS = Consumer("news", idle=0.3)


@pytest.fixture(scope="module")
def redis_url() -> Iterator[str]:
    with feeding.redis_server() as started:
        yield started.url


@pytest.fixture
def client(redis_url: str) -> Iterator[Any]:
    with redis.Redis.from_url(redis_url) as made:
        made.flushall()
        yield made


def add(client: Any, *numbers: int) -> list[str]:
    return [client.xadd("news", {"json": json.dumps({"id": str(at), "text": f"text {at}"})}).decode() for at in numbers]


def said(items: list[Item]) -> list[Reading]:
    return [Reading(Understood(item, (), Prediction("neutral", 0.75))) for item in items]


@contextlib.contextmanager
def member(url: str, name: str = "one", read: Any = said) -> Iterator[Worker]:
    made = Worker(url, Consumer("news", consumer=name, idle=0.3), Normaliser(), read, "7")
    try:
        yield made
    finally:
        made.close()


@contextlib.contextmanager
def reader(url: str) -> Iterator[UnderstoodSource]:
    made = UnderstoodSource(url, NEWS)
    try:
        yield made
    finally:
        made.close()


def ids(batch: Any) -> list[int]:
    readings = [wire.read(one) for one in batch.received]
    return [int(one.understood.item.id) for one in readings if isinstance(one, Reading)]


# -- answers as bytes ----------------------------------------------------------------------------------------------
def test_an_answer_comes_back_to_the_bit() -> None:
    from metier.apps.monitor.stories.assign import packed

    tone = Prediction("negative", 1 / 3, True, {"negative": 1 / 3, "positive": 0.1 + 0.2})
    item = Item(
        "1", 'half \udc80 "quoted" 利润', 1e9 + 1 / 7, 2e9 + 1 / 3, "it", "u", "en", {"marks": {"cut": 3}, "n": 2**70}
    )
    vector = np.random.default_rng(3).normal(size=48).astype(np.float32)
    mentions = (Mention("acme", 0, 4, "half", "alias", 0.9, tone), Mention("b", 1, 2, "a", "name"))
    one = Reading(
        Understood(item, [Prediction("people", 0.6)], tone, mentions, vector), (Mention("", 5, 6, "X", "new"),)
    )
    again = wire.read(Received("it", {"answer": wire.written(one, "7").decode()}, 0.0))
    assert isinstance(again, Reading) and again.version == "7"
    assert again.understood.item == item and again.unlinked == one.unlinked
    assert again.understood.sentiment == tone and tuple(again.understood.mentions) == mentions
    assert list(again.understood.topics) == [Prediction("people", 0.6)]
    assert packed(again.understood.vector) == packed(vector)


def test_what_is_no_answer_is_set_aside() -> None:
    aside = Quarantined("it", "empty", "the text is empty", "{}", 3.0)
    assert wire.read(Received("it", {"answer": wire.written(aside, "7").decode()}, 0.0)) == aside
    for broken in ("", "{", "[]", "{}", '{"item": 3}', '{"aside": {"source": "x"}}'):
        found = wire.read(Received("it", {"answer": broken}, 0.0))
        assert isinstance(found, Quarantined) and "no answer of a worker" in found.reason


# -- workers and the one who counts ----------------------------------------------------------------------------------
def test_answers_come_in_the_order_of_the_stream(redis_url: str, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker, "BATCH", 2)
    names = add(client, 1, 2, 3, 4, 5)
    with member(redis_url, "slow") as slow, member(redis_url, "fast") as fast, reader(redis_url) as source:
        taken = slow.source.read("", 2, 0.2)  # 1 and 2, and no answer yet
        assert fast.step() == 2
        batch = source.read("", 10, 0.0)
        assert ids(batch) == [] and batch.behind
        outcomes = said([Item(str(at), "x", 0.0, 0.0) for at in (1, 2)])
        slow._published([
            part for name, one in zip(names[:2], outcomes, strict=True) for part in (name, wire.written(one, "7"))
        ])  # fmt: skip
        assert len(taken.received) == 2
        batch = source.read(batch.position, 3, 0.0)
        assert ids(batch) == [1, 2, 3] and batch.position == names[2]
        source.acknowledge(batch.position)
        assert sorted(name.decode() for name in client.hkeys(answers(NEWS))) == [names[3]]
        batch = source.read(batch.position, 3, 0.0)
        assert ids(batch) == [4] and batch.behind


def test_of_two_answers_to_an_entry_the_first_is_heard(redis_url: str, client: Any) -> None:
    add(client, 1)

    def overtaken(items: list[Item]) -> list[Reading]:
        """While the first one thinks, the second claims its document, and is done before it."""
        time.sleep(0.4)
        with member(redis_url, "second") as second:
            assert second.step(1.0) == 1
        with reader(redis_url) as source:
            batch = source.read("", 10, 0.0)
            assert ids(batch) == [1]
            source.acknowledge(batch.position)
        return said(items)

    with member(redis_url, "first", overtaken) as first:
        assert first.step() == 0
    assert client.hlen(answers(NEWS)) == 0


def test_what_was_counted_and_not_forgotten_is_not_counted_twice(redis_url: str, client: Any) -> None:
    add(client, 1, 2)
    with member(redis_url) as one:
        one.step()
    with reader(redis_url) as source:
        kept = source.read("", 1, 0.0)
    with reader(redis_url) as source:
        assert ids(source.read(kept.position, 10, 0.0)) == [2]
    assert client.hlen(answers(NEWS)) == 1


def test_entries_that_a_process_without_workers_counted_are_passed_over(redis_url: str, client: Any) -> None:
    add(client, 1, 2)
    alone = RedisSource(redis_url, NEWS)
    batch = alone.read("", 1, 0.0)
    alone.acknowledge(batch.position)
    alone.close()
    with member(redis_url) as one, reader(redis_url) as source:
        assert one.step() == 1
        assert ids(source.read(batch.position, 10, 0.0)) == [2]


def test_entries_that_were_cut_after_they_were_understood_count_in_their_place(redis_url: str, client: Any) -> None:
    names = add(client, 1, 2, 3)
    with member(redis_url) as one, reader(redis_url) as source:
        one.step()
        client.xtrim("news", maxlen=1, approximate=False)
        batch = source.read("", 10, 0.0)
        assert ids(batch) == [1, 2, 3] and batch.position == names[2]


def test_no_new_documents_where_nobody_counts_but_those_of_the_dead(
    redis_url: str, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "BATCH", 2)
    monkeypatch.setattr(worker, "AHEAD", 2)
    add(client, *range(7))
    with member(redis_url, "dead") as dead:
        assert len(dead.source.read("", 2, 0.2).received) == 2  # 0 and 1 are its own now
    with member(redis_url) as alive, reader(redis_url) as source:
        assert [alive.step() for _ in range(3)] == [2, 0, 0]
        assert ids(source.read("", 10, 0.0)) == []  # 2 and 3 have answers, and wait for 0 and 1
        time.sleep(0.4)
        end = time.monotonic() + 10
        while not alive.step() and time.monotonic() < end:
            time.sleep(0.05)
        assert ids(source.read("", 10, 0.0)) == [0, 1, 2, 3]


def test_documents_that_nobody_understands_are_no_silence(redis_url: str, client: Any, tmp_path: Path) -> None:
    """The clock closes no tick while entries wait for a worker, and what is wrong is said."""
    add(client, 1)
    with Store.open(tmp_path / "monitor.db") as store:
        source = UnderstoodSource(redis_url, Consumer("news", idle=0.01))
        intake = Intake(source, wire.read)
        made = Monitor(sample_month.plan(), store, [intake], patience=0.0)
        passed: list[float] = []
        made.pass_ = passed.append  # type: ignore[assignment, method-assign]
        heard = 0

        def hear(_: object) -> None:
            nonlocal heard
            heard += 1
            if heard == 5:
                made.stop()

        made.run(0.02, hear)
        source.close()
    assert intake.behind and not passed
    assert "wait for workers: metier monitor understand" in intake.fault


def test_bad_documents_are_set_aside_by_the_one_who_counts(redis_url: str, client: Any, tmp_path: Path) -> None:
    from metier.store import quarantine

    client.xadd("news", {"json": "{broken"})
    add(client, 1, 1)
    with Store.open(tmp_path / "monitor.db") as store, member(redis_url) as one, reader(redis_url) as source:
        one.step()
        done = Monitor(sample_month.plan(), store, [Intake(source, wire.read)]).step(Intake(source, wire.read))
        with store.read() as connection:
            (aside,) = quarantine.waiting(connection)
    assert (done.received, done.new, done.aside) == (3, 1, 1)
    assert aside.raw == "{broken" and "not JSON" in aside.reason


# -- kill -9 -------------------------------------------------------------------------------------------------------
WORK = """
import sys, threading, time
from monitor import sample_month
from metier.apps.monitor.normalise import Normaliser
from metier.apps.monitor.sources.redis_stream import Consumer
from metier.apps.monitor.worker import Worker, work
def slowly(items):
    time.sleep(0.002 * len(items))
    return sample_month.read(items)
one = Worker(sys.argv[1], Consumer("news", consumer=sys.argv[2], idle=0.5), Normaliser(), slowly, "stand-in")
print("go", flush=True)
work([one], threading.Event(), lambda count: None, 0.2)
"""
COUNT = """
import sys
from monitor import sample_month
from metier.apps.monitor import wire
from metier.apps.monitor.engine import Intake, Monitor
from metier.apps.monitor.sources.redis_stream import Consumer
from metier.apps.monitor.sources.understood import UnderstoodSource
from metier.store.store import Store
store = Store.open(sys.argv[2])
intake = Intake(UnderstoodSource(sys.argv[1], Consumer("news")), wire.read)
made = Monitor(sample_month.plan(), store, [intake], clock=lambda: 0.0)
print("go", flush=True)
while made.positions.get("news", "") != sys.argv[3]:
    made.step(intake, 0.1)
made.end()
store.close()
"""


class Crew:
    """Processes that are killed and replaced."""

    def __init__(self) -> None:
        self.running: list[subprocess.Popen[bytes]] = []
        self.number = 0

    def start(self, code: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        process = subprocess.Popen([sys.executable, "-c", code, *arguments], env=environment, stdout=subprocess.PIPE)
        self.running.append(process)
        return process

    def worker(self, url: str) -> tuple[str, subprocess.Popen[bytes]]:
        self.number += 1
        name = f"worker-{self.number}"
        return name, self.start(WORK, url, name)

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.stdout is not None
        process.stdout.close()
        self.running.remove(process)


@pytest.fixture
def crew() -> Iterator[Crew]:
    made = Crew()
    yield made
    for process in list(made.running):
        made.kill(process)


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None and process.stdout.readline() == b"go\n"


def awaited(when: Callable[[], bool], seconds: float = 200.0) -> None:
    end = time.monotonic() + seconds
    while not when():
        assert time.monotonic() < end, "it never came so far"
        time.sleep(0.002)


def fill(client: Any, lines: Sequence[bytes]) -> str:
    """Adds documents to the stream; the id of the last entry."""
    with client.pipeline() as pipeline:
        for line in lines:
            pipeline.xadd("news", {"json": line})
        return str(pipeline.execute()[-1].decode())


def pending(client: Any, name: str) -> int:
    """Entries that a worker was given and did not answer."""
    if not any(row["name"] == b"metier" for row in client.xinfo_groups("news")):
        return 0
    found = client.xinfo_consumers("news", "metier")
    return sum(int(row["pending"]) for row in found if row["name"].decode() == name)


def alone(url: str, path: Path) -> Store:
    """The store of one process that nobody disturbs."""
    store = Store.open(path)
    source = RedisSource(url, Consumer("news", group="alone"), "news")
    made = Monitor(sample_month.plan(), store, [Intake(source, Normaliser())], clock=lambda: 0.0)
    while made.step(made.intakes[0]).received:
        pass
    made.end()
    source.close()
    return store


def test_killed_workers_lose_nothing_and_count_nothing_twice(
    redis_url: str, client: Any, place: str, tmp_path: Path, crew: Crew, kills: int = 3
) -> None:
    """Two workers and a process that counts, killed with -9 again and again, the workers while they have documents."""
    random_ = random.Random(7)
    lines = sample_month.archive(tmp_path, DAYS).read_bytes().splitlines()
    part = -(-len(lines) // (kills + 1))
    workers = [crew.worker(redis_url), crew.worker(redis_url)]
    counting, left = crew.start(COUNT, redis_url, place, "never"), 0
    for at in range(kills):
        name, process = workers.pop(0)
        ready(process)
        fill(client, lines[at * part : (at + 1) * part])
        awaited(lambda name=name: pending(client, name) > 0)  # type: ignore[misc]
        time.sleep(random_.uniform(0.0, 0.05))
        crew.kill(process)
        left += pending(client, name)
        workers.append(crew.worker(redis_url))
        if at == 1:
            crew.kill(counting)
            counting = crew.start(COUNT, redis_url, place, "never")
    last = fill(client, lines[kills * part :])
    crew.kill(counting)
    assert crew.start(COUNT, redis_url, place, last).wait(120) == 0
    assert left > 0, "no worker was killed while it had documents"
    undisturbed = alone(redis_url, tmp_path / "alone.db")
    with Store.open(place) as store:
        assert sample_month.stored(store) == sample_month.stored(undisturbed)
    undisturbed.close()
    assert client.xpending("news", "metier")["pending"] == 0
    assert client.hlen(answers(NEWS)) == 0


@pytest.mark.soak
def test_fifty_killed_workers(redis_url: str, client: Any, place: str, tmp_path: Path, crew: Crew) -> None:
    test_killed_workers_lose_nothing_and_count_nothing_twice(redis_url, client, place, tmp_path, crew, kills=50)


# -- the commands --------------------------------------------------------------------------------------------------
@pytest.fixture
def settings(redis_url: str, toy_run: Path, tmp_path: Path) -> Path:
    file = tmp_path / "monitor.toml"
    file.write_text(
        f'run = "{toy_run}"\ntick = "1h"\n[heads]\ntopic = "place"\n'
        f'[[sources]]\nkind = "redis"\nurl = "{redis_url}"\nstream = "news"\nworkers = true\n'
    )
    return file


def test_the_commands_share_the_work(client: Any, settings: Path, tmp_path: Path) -> None:
    """`understand` twice and `run` once, from the same settings; each ends well when it is told to."""
    from metier.store import documents

    add(client, *range(30))
    commands = [("understand", "--name", "a"), ("understand", "--name", "b"), ("run", "--no-serve")]
    running = [
        started(tmp_path / f"{at}.log", "monitor", name, settings, *more) for at, (name, *more) in enumerate(commands)
    ]
    try:
        with Store.open(tmp_path / "monitor.db") as store:

            def counted() -> bool:
                with store.read() as connection:
                    return len(documents.known(connection, map(str, range(30)))) == 30

            awaited(counted)
            with store.read() as connection:
                one = documents.get(connection, "7")
        # The second may have begun too late to get any: it ends well once it listens.
        awaited(lambda: all("run " in (tmp_path / f"{at}.log").read_text() for at in range(2)))
        for process in running:
            os.kill(int(process.pid or 0), signal.SIGTERM)
        for process in running:
            process.join(30)
    finally:
        for process in running:
            kill(process)
    logs = [(tmp_path / f"{at}.log").read_text() for at in range(3)]
    assert [process.exitcode for process in running] == [0, 0, 0], logs
    assert one is not None and one.text == "text 7" and one.version and one.vector
    understood = [int(re.findall(r"(\d+) documents were understood", log)[0]) for log in logs[:2]]
    assert sum(understood) == 30


def test_mistakes_with_workers_are_one_line(settings: Path, tmp_path: Path) -> None:
    text, wrong = settings.read_text(), tmp_path / "wrong.toml"
    for changed, message in (
        (text.replace("workers = true", ""), "No source of the settings has workers"),
        (text + 'consumer = "one"\n', "leave consumer out"),
        (text.replace('kind = "redis"', 'kind = "feed"'), "has no workers"),
        (text + 'idle = "0s"\n', "idle"),
    ):
        wrong.write_text(changed)
        assert message in refused("monitor", "understand", wrong)
