"""The whole chain on two cores, with a real run: documents a second, how soon a document is counted, passes a document.

The run is that of `make demo` (topic and sentiment, learned from the sample), in eight bits as `metier optimise` makes
it. The stream is headlines: real ones where the data is there (the first half of one and the second of another, so that
none comes twice; every fifth is a copy, edited), linked to the companies of SEntFiN, else those of the sample.

- `replay`: an archive, as `metier monitor replay` reads it, one process, for so many seconds; where they go.
- `workers`: the same documents in a Redis stream, processes that understand (`metier monitor understand`), one counts.
- `arrival`: `POST /v1/documents` at a rate, to `metier monitor run` with its console; how long until each is committed.
- `passes`: rows that went through the encoder, for topic, sentiment and what is said of each mention.

`only=` names one of them. Beside the rate stands what it would be for the processor time alone: on a machine that does
something else, that is the figure to look at.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import metier
from benchmarks import invented
from benchmarks.monitor_counter import TESTS
from benchmarks.quality import data
from metier.apps.monitor import assemble
from metier.apps.monitor.engine import Done, Monitor
from metier.apps.monitor.item import Item
from metier.apps.monitor.settings import MonitorSettings
from metier.apps.monitor.understand import Heads, Reader
from metier.model import Model
from metier.pipeline.optimise.optimise import optimise
from metier.progress import Progress
from metier.sample import month
from metier.store import documents, people
from metier.store.store import Store

BARS = {"documents/s": 400, "p95 seconds at 100/s": 1.0, "passes a document": 1.0}
SAMPLE = Path(month.__file__).parent / "headlines.csv"
ROOT = Path(__file__).parents[1]
A_DAY = 30_000.0
"""Documents of a day of their own time."""


# -- the run and the stream ------------------------------------------------------------------------------------------
def fitted(folder: Path, run: str) -> Path:
    """The run in eight bits; kept in the folder."""
    plain, small = Path(run) if run else folder / "run", folder / "run-int8"
    if run and (plain / "runtimes.json").is_file():
        return plain
    with Progress(sys.stderr) as watch:
        if not plain.is_dir():
            metier.train(SAMPLE, label=("sentiment", "topic"), out=plain, watch=watch)
        if not small.is_dir():
            optimise(plain, small, {"tolerance": 5.0}, watch)
    return small


def headlines(seed: int) -> Iterator[str]:
    """Headlines without end, every fifth an edited copy of one of the last thousand."""
    from benchmarks.monitor_stories import copied, mixed_up

    rng, pool = random.Random(seed), _pool()
    last: list[str] = []
    for text in mixed_up(pool, rng):
        if last and rng.random() < 0.25:  # a copy before one in four others: one in five
            yield copied(rng.choice(last), rng, pool)[0]
        yield text
        last = [*last[-999:], text]


def _pool() -> list[str]:
    if not data("finance_headlines").is_dir():
        return list(dict.fromkeys(row["text"] for seed in range(20) for row in month.headlines(seed)))
    import polars as pl

    titles = pl.read_csv(data("finance_headlines/headlines.csv.gz"))["title"].to_list()
    named = pl.read_csv(data("finance_sentfin/sentfin.csv.gz"))["text"].unique(maintain_order=True).to_list()
    return list(dict.fromkeys([*titles, *named]))


def table(folder: Path) -> Path:
    """The companies, as a file."""
    if not data("finance_sentfin").is_dir():
        return month.companies()
    from benchmarks.monitor_companies import table as entities

    file = folder / "companies.csv"
    with file.open("w", encoding="utf-8", newline="") as out:
        rows = csv.writer(out)
        rows.writerow(["id", "name", "aliases", "ticker", "parent"])
        rows.writerows([one.id, one.name, "|".join(one.aliases), "", ""] for one in entities())
    return file


def rows(count: int, a_day: float, seed: int) -> Iterator[dict[str, Any]]:
    """Documents, evenly over their days."""
    for number, text in zip(range(count), headlines(seed), strict=False):
        at = invented.START + number * 86_400 / a_day
        when = datetime.fromtimestamp(at, UTC).isoformat()
        yield {"id": f"c{number}", "title": text, "time": when, "source": invented.OUTLETS[number % 4]}


@dataclass(frozen=True)
class Setting:
    """What is measured: the run, where things are kept, for how long, how many documents a second and day."""

    run: Path
    folder: Path
    seconds: float
    per_second: float
    a_day: float
    threads: int

    def settings(self, name: str, *sources: dict[str, Any], threads: int | None = None) -> MonitorSettings:
        """Those of a monitor with an empty store of its own."""
        for old in self.folder.glob(f"{name}.db*"):
            old.unlink()
        return MonitorSettings.parse({
            "run": str(self.run), "store": str(self.folder / f"{name}.db"), "spool": str(self.folder / f"{name}.spool"),
            "companies": str(table(self.folder)), "sources": list(sources),
            "threads": self.threads if threads is None else threads,
        })  # fmt: skip

    def most(self) -> int:
        """Documents that nothing here gets through."""
        return max(2_000, int(2_000 * self.seconds))


# -- one process -----------------------------------------------------------------------------------------------------
class Stages:
    """Seconds of wall and of processor (all threads) by stage, and calls."""

    def __init__(self) -> None:
        self.wall: dict[str, float] = defaultdict(float)
        self.cpu: dict[str, float] = defaultdict(float)

    def timed(self, name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        """The same, with a clock beside it."""

        def run(*arguments: Any, **named: Any) -> Any:
            wall, cpu = time.perf_counter(), time.process_time()
            try:
                return work(*arguments, **named)
            finally:
                self.wall[name] += time.perf_counter() - wall
                self.cpu[name] += time.process_time() - cpu

        return run

    def put_into(self, monitor: Monitor, reader: Reader) -> None:
        """Clocks at every stage of a monitor."""
        for owner, method, name in (
            (reader.model.runtime, "understand", "model"), (reader.companies, "find", "companies"),
            (monitor.stories, "assign", "stories"), (monitor.counter, "count", "count"),
            (monitor.alarm, "close", "detect"), (monitor, "_write", "store: write"),
            (monitor, "_fresh", "store: known"), (monitor, "_hear", "store: people"),
        ):  # fmt: skip
            if owner is not None:
                setattr(owner, method, self.timed(name, getattr(owner, method)))
        for intake in monitor.intakes:
            intake.source.read = self.timed("source", intake.source.read)  # type: ignore[method-assign]
            intake.normalise = self.timed("normalise", intake.normalise)

    def told(self, count: int, wall: float, cpu: float) -> dict[str, Any]:
        """Milliseconds a document, those that take longest first."""
        whole = {**self.wall, "rest": wall - sum(self.wall.values())}
        busy = {**self.cpu, "rest": cpu - sum(self.cpu.values())}
        order = sorted(whole, key=lambda name: -busy[name])
        per = 1e3 / max(1, count)
        return {name: {"wall ms": round(whole[name] * per, 3), "cpu ms": round(busy[name] * per, 3)} for name in order}


class Rate:
    """Counts documents, and stops a monitor when its time is over."""

    def __init__(self, seconds: float, warm: float) -> None:
        self.seconds, self.warm = seconds, warm
        self.monitor: Monitor | None = None
        self.begin = time.perf_counter()
        self.count = self.before = 0
        self.marks: list[tuple[float, int]] = []
        self.cpu = 0.0

    def __call__(self, done: Done) -> None:
        """After each step."""
        now = time.perf_counter() - self.begin
        self.count += done.new
        if now >= self.warm and not self.marks:
            self.before, self.cpu = self.count, time.process_time()
            self.marks = [(now, self.count)]
        elif self.marks and now - self.marks[-1][0] >= self.seconds / 6:
            self.marks.append((now, self.count))
            print(f"{now:.0f} s: {self.count:,} documents", file=sys.stderr, flush=True)
        if now >= self.warm + self.seconds and self.monitor is not None:
            self.monitor.stop()

    def told(self) -> dict[str, Any]:
        """Over all, and by sixth of the time."""
        if not self.marks:
            return {"documents": self.count, "documents/s": None}
        begin, before = self.marks[0]
        wall, count = time.perf_counter() - self.begin - begin, self.count - before
        parts = zip(self.marks, self.marks[1:], strict=False)
        return {
            "documents": count,
            "documents/s": round(count / wall, 1),
            "documents a second of processor": round(count / max(1e-9, time.process_time() - self.cpu), 1),
            "by sixth": [round((b - a) / (end - start), 1) for (start, a), (end, b) in parts],
        }


def replay(one: Setting) -> dict[str, Any]:
    """An archive through one process."""
    settings, file = one.settings("replay"), one.folder / f"stream-{one.most()}.jsonl"
    if not file.is_file():
        staged = file.with_suffix(".partial")
        with staged.open("w", encoding="utf-8") as out:
            out.writelines(json.dumps(row) + "\n" for row in rows(one.most(), one.a_day, 13))
        staged.rename(file)
    intake, plan = assemble.archive(file, settings, float("-inf"), float("inf")), assemble.plan(settings)
    reader, stages, rate = plan.read, Stages(), Rate(one.seconds, min(5.0, one.seconds / 6))
    assert isinstance(reader, Reader)
    with Store.open(settings.store) as store:
        monitor = Monitor(replace(plan, read=stages.timed("", reader)), store, [intake])
        stages.put_into(monitor, reader)
        rate.monitor, before = monitor, time.process_time()
        rate.begin = time.perf_counter()
        monitor.run(hear=rate)
        intake.source.close()
        wall, cpu = time.perf_counter() - rate.begin, time.process_time() - before
        copies = rate.count - _stories(store)
    for clock in (stages.wall, stages.cpu):  # what reading does beside the model and the companies
        clock["read, rest"] = clock.pop("") - clock["model"] - clock["companies"]
    return {
        **rate.told(),
        "runtime": reader.model.runtime.describe(),
        "passes a document": reader.passes / max(1, rate.count),
        "copies": round(copies / max(1, rate.count), 3),
        "series": len(monitor.alarm.detectors.places),
        "a document": stages.told(rate.count, wall, cpu),
    }


def _stories(store: Store) -> int:
    with store.read() as connection:
        return int(connection.exec_driver_sql("SELECT count(*) FROM stories").scalar_one())


# -- many processes --------------------------------------------------------------------------------------------------
def _metier(*arguments: object, **environment: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "metier.cli", *map(str, arguments)]
    return subprocess.Popen(
        command, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@contextmanager
def started(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    """A command of metier in a process of its own, which ends with the block."""
    process = _metier(*arguments)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def toml(settings: MonitorSettings, file: Path, source: dict[str, Any]) -> Path:
    """Settings with one source as a file."""
    top = {name: getattr(settings, name) for name in ("run", "store", "spool", "companies", "threads")}
    lines = [f"{name} = {json.dumps(value)}" for name, value in top.items()]
    lines += ["[[sources]]", *(f"{name} = {json.dumps(value)}" for name, value in source.items())]
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def workers(one: Setting, processes: int) -> dict[str, Any]:
    """So many that understand, this one counts."""
    sys.path.insert(0, str(TESTS / "monitor"))
    import feeding

    if reason := feeding.redis_missing():
        return {"left out": reason}
    import redis

    with feeding.redis_server() as server, redis.Redis.from_url(server.url) as client, ExitStack() as stack:
        source = {"kind": "redis", "url": server.url, "stream": "news", "workers": True}
        settings = one.settings(f"workers-{processes}", source, threads=1)
        pipe = client.pipeline(transaction=False)
        for row in rows(one.most() // 2, one.a_day, 13):
            pipe.xadd("news", {"json": json.dumps(row)})
        pipe.execute()
        file = toml(settings, one.folder / f"workers-{processes}.toml", source)
        for number in range(processes):
            stack.enter_context(started("monitor", "understand", file, "--name", f"w{number}"))
        with Store.open(settings.store) as store:
            monitor = Monitor(assemble.plan(settings), store, assemble.intakes(settings))
            end = time.monotonic() + 180
            while not client.hlen("news:metier:understood"):
                if time.monotonic() > end:
                    return {"left out": "no worker answered within three minutes"}
                time.sleep(0.05)
            rate = Rate(one.seconds, min(5.0, one.seconds / 6))
            rate.monitor = monitor
            monitor.run(0.02, rate)
            ahead = int(client.hlen("news:metier:understood"))
            for intake in monitor.intakes:
                intake.source.close()
        return {"workers": processes, **rate.told(), "understood and not counted at the end": ahead}


# -- how soon --------------------------------------------------------------------------------------------------------
class Seen:
    """When the documents of a store were first there to be read, by a look every ten milliseconds."""

    def __init__(self, store: Store) -> None:
        self.store, self.number, self.at = store, 0, dict[str, float]()

    def look(self) -> None:
        """Once."""
        with self.store.read() as connection:
            found = list(documents.arrived(connection, self.number))
        now = time.perf_counter()
        for one in found:
            self.at[one.id] = now
            self.number = int(one.number or 0)


async def _post(address: tuple[str, int], key: str, row: dict[str, Any]) -> int:
    reader, writer = await asyncio.open_connection(*address)
    body = json.dumps(row).encode()
    head = (
        f"POST /v1/documents HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + body)
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1])


async def pushed(one: Setting, address: tuple[str, int], key: str, store: Store) -> dict[str, Any]:
    """Single documents at a rate that no answer slows down; latencies from the moment at which each was due."""
    seen, due, under_way = Seen(store), dict[str, float](), set[asyncio.Task[None]]()
    statuses: Counter[str] = Counter()

    async def send(row: dict[str, Any]) -> None:
        try:
            statuses[str(await _post(address, key, row))] += 1
        except (OSError, IndexError) as error:
            statuses[type(error).__name__] += 1

    async def watch() -> None:
        while not over or len(seen.at) < len(due):
            await asyncio.to_thread(seen.look)
            await asyncio.sleep(0.01)
            if over and time.perf_counter() > over[0] + 60:
                return

    over: list[float] = []
    watching = asyncio.ensure_future(watch())
    rng, texts, start = random.Random(13), headlines(13), time.perf_counter()
    at = start
    while at < start + one.seconds:
        at += rng.expovariate(one.per_second)
        await asyncio.sleep(max(0.0, at - time.perf_counter()))
        row = {"id": f"p{len(due)}", "title": next(texts), "time": datetime.now(UTC).isoformat()}
        due[row["id"]] = at
        task = asyncio.ensure_future(send(row))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    over.append(time.perf_counter())
    await watching
    waits = sorted(seen.at[name] - begin for name, begin in due.items() if name in seen.at)
    cuts = statistics.quantiles(waits, n=100)
    return {
        "documents": len(due), "a second": one.per_second, "statuses": dict(statuses), "counted": len(waits),
        "seconds": {"p50": round(cuts[49], 3), "p95": round(cuts[94], 3), "p99": round(cuts[98], 3),
                    "most": round(waits[-1], 3)},
    }  # fmt: skip


def arrival(one: Setting) -> dict[str, Any]:
    """`metier monitor run`, and documents that are pushed to it."""
    source = {"kind": "push"}
    settings = one.settings("arrival", source)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = ("127.0.0.1", int(free.getsockname()[1]))
    with Store.open(settings.store) as store:
        with store.write() as connection:
            key = people.add_key(connection, "load", "analyst", time.time())
        file = toml(settings, one.folder / "arrival.toml", source)
        with started("monitor", "run", file, "--port", address[1]):
            _answers(address)
            # the first pass of a run is slower than all others
            asyncio.run(pushed(replace(one, seconds=min(3.0, one.seconds), per_second=20.0), address, key, store))
            _emptied(store)
            return asyncio.run(pushed(one, address, key, store))


def _emptied(store: Store) -> None:
    """So that ids begin anew."""
    with store.write() as connection:
        for name in ("mentions", "documents", "stories"):
            connection.exec_driver_sql(f"DELETE FROM {name}")


def _answers(address: tuple[str, int]) -> None:
    end = time.monotonic() + 180
    while time.monotonic() < end:
        try:
            socket.create_connection(address, 1.0).close()
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError("metier monitor run did not start")


# -- passes ----------------------------------------------------------------------------------------------------------
def three(folder: Path) -> Path:
    """A run with a head each for topic, sentiment, and what is said of a mention; fitted shortly."""
    run, file = folder / "three", folder / "mentions.csv"
    if not run.is_dir():
        mentions(file)
        heads = {name: {"column": name, "path": str(SAMPLE), "text": ["text"]} for name in ("sentiment", "topic")}
        recipe = metier.Recipe.parse({
            "data": {"path": str(file), "text": ["text"]},
            "heads": {"mention": {"column": "label", "task": "mention", "mention": "entity"}, **heads},
            "train": {"method": "probe"},
            "evaluate": {"baselines": False, "suspects": False},
        })  # fmt: skip
        with Progress(sys.stderr) as watch:
            metier.train(recipe, out=run, watch=watch)
    return run


def mentions(file: Path, most: int = 80) -> None:
    """Headlines of the sample that name their company, with their sentiment as what is said of it."""
    with SAMPLE.open(encoding="utf-8", newline="") as source, file.open("w", encoding="utf-8", newline="") as out:
        found = [row for row in csv.DictReader(source) if row["company"] and row["company"] in row["text"]][:most]
        target = csv.writer(out)
        target.writerow(["text", "entity", "label"])
        target.writerows([row["text"], row["company"], row["sentiment"]] for row in found)


def passes(folder: Path, count: int = 300) -> dict[str, Any]:
    """Rows that the encoder was given for so many documents, and what came of them."""
    reader = Reader(Model(three(folder)), Heads(mention="mention"), invented.companies())
    given = Counter[str]()

    def passed(_: Any, inputs: tuple[Any, ...], output: Any) -> None:
        given["passes"] += 1
        given["rows"] += len(output[0]) if isinstance(output, tuple | list) else len(output)

    hook = reader.model.runtime.network.encoder.register_forward_hook(passed)  # type: ignore[attr-defined]
    texts = [row["text"] for row in month.headlines()[:count]]
    read = reader([Item(str(at), text, 0.0, 0.0) for at, text in enumerate(texts)])
    hook.remove()
    return {
        "documents": len(read),
        "rows through the encoder": given["rows"],
        "batches": given["passes"],
        "passes a document": given["rows"] / len(read),
        "with a topic": sum(bool(one.understood.topics) for one in read),
        "with a sentiment": sum(bool(one.understood.sentiment.label) for one in read),
        "mentions": sum(len(one.understood.mentions) for one in read),
        "mentions with a sentiment": sum(m.sentiment is not None for one in read for m in one.understood.mentions),
    }


def run(
    run: str = "",
    work: str = "",
    only: str = "",
    seconds: float = 60.0,
    per_second: float = 100.0,
    cores: int = 2,
    processes: list[int] | None = None,
) -> dict[str, Any]:
    """The figures.

    Args:
        run: with the heads topic and sentiment; made smaller where it is not. Empty: that of `make demo`.
        work: a folder in which runs and stream are kept.
        only: one of `replay`, `workers`, `arrival`, `passes`.
        seconds: of each.
        per_second: documents that are pushed.
        cores: of the processor, and threads of the model.
        processes: numbers of workers that are tried; by default 1 and 2.
    """
    os.sched_setaffinity(0, set(sorted(os.sched_getaffinity(0))[:cores]))
    with ExitStack() as stack:
        folder = Path(work or stack.enter_context(tempfile.TemporaryDirectory())).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        one = Setting(fitted(folder, run), folder, seconds, per_second, A_DAY, cores)
        parts: dict[str, Callable[[], dict[str, Any]]] = {
            "passes": lambda: passes(folder),
            "replay": lambda: replay(one),
            "workers": lambda: {str(count): workers(one, count) for count in processes or (1, 2)},
            "arrival": lambda: arrival(one),
        }
        found = {}
        for name in [only] if only else parts:
            found[name] = parts[name]()
            print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
        return {"bars": BARS, "cores": cores, **found}
