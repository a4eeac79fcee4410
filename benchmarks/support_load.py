"""Customer service under load: the invented bank of `metier support init --sample`, served by `metier support serve`.

Fifty conversations at once, each a message every two seconds at moments of its own; after twenty messages another
customer comes. Latencies are counted from the moment at which a message was due, so that a server that stands still is
not spared what it kept waiting. Afterwards the store is asked whether anything that was acknowledged is missing, there
twice, or answered twice.

- `what=tiers`: a minute of questions that templates answer, then one of questions that documents answer; the claims are
  a p95 of at most 50 ms and of at most 150 ms, and that nothing is lost or doubled.
- `what=soak`: both in turn for ten minutes; the claims are those, and resident memory that does not grow.

`sockets=true`: each customer listens at a socket, too, as the widget does. `work=FOLDER` keeps what was built.
`profile=FILE` writes a profile (cProfile) of the server's threads that answer.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
BARS = {"template": 50.0, "search": 150.0}
EVERY = 2.0
"""Seconds between two messages of a customer."""
TURNS = 20
"""Messages of a conversation."""
SERVICE = "\n[service]\nper_minute = 1000\nopened_per_hour = 100000\n"
CHAT = "/v1/chat/conversations"


@dataclass
class Load:
    """What customers send, and what became of it.

    Args:
        pools: of each tier, questions that it answers.
        sockets: whether each listens at a socket.
    """

    pools: dict[str, Sequence[str]]
    sockets: bool = False
    rng: random.Random = field(default_factory=lambda: random.Random(13))
    statuses: Counter[str] = field(default_factory=Counter)
    taken: dict[str, list[float]] = field(default_factory=dict)
    acknowledged: dict[str, list[str]] = field(default_factory=dict)
    heard: Counter[str] = field(default_factory=Counter)

    async def customer(self, line: Line, until: float) -> None:
        """One customer after the other at a line, a message at a time."""
        clock = asyncio.get_running_loop().time
        due, turn = clock() + self.rng.uniform(0, EVERY), 0
        while due < until:
            _, made = await line.ask("POST", CHAT, {})
            async with self._listening(line, made):
                for _ in range(TURNS):
                    await asyncio.sleep(max(0.0, due - clock()))
                    if due >= until:
                        break
                    await self._say(line, made, turn, due)
                    due, turn = max(due + EVERY, clock()), turn + 1

    async def _say(self, line: Line, made: dict[str, Any], turn: int, due: float) -> None:
        clock = asyncio.get_running_loop().time
        tier = list(self.pools)[turn % len(self.pools)]
        said = {"text": self.rng.choice(self.pools[tier]), "id": f"m-{turn}"}
        status, found = await line.ask("POST", f"{CHAT}/{made['id']}/messages", said, made["token"])
        self.statuses[str(status)] += 1
        if status != 200:
            return
        self.acknowledged.setdefault(made["id"], []).append(said["id"])
        answered = found["replies"][0]["tier"] if found["replies"] else "nobody"
        self.taken.setdefault(answered, []).append((clock() - due) * 1e3)

    @asynccontextmanager
    async def _listening(self, line: Line, made: dict[str, Any]) -> AsyncIterator[None]:
        if not self.sockets:
            yield
            return
        from websockets.asyncio.client import connect

        async def listen() -> None:
            async for event in socket:
                self.heard[json.loads(event)["event"]] += 1

        protocols = ["metier.chat", f"bearer.{made['token']}"]
        address = f"ws://{line.host}:{line.port}{CHAT}/{made['id']}/live"
        async with connect(address, subprotocols=protocols, open_timeout=60, compression=None) as socket:
            task = asyncio.ensure_future(listen())
            try:
                yield
            finally:
                await asyncio.sleep(0.2)
                task.cancel()


class Line:
    """One connection that is kept open; as little of HTTP as the service speaks, so that the load costs little."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self._pipe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None, token: str = "") -> tuple[int, Any]:
        """Status and body of the answer; sent again where the service had hung up on a line that nobody used."""
        used = self._pipe is not None
        try:
            return await self._ask(method, path, body, token)
        except (asyncio.IncompleteReadError, ConnectionError):
            self.close()
            if not used:
                raise
        return await self._ask(method, path, body, token)

    async def _ask(self, method: str, path: str, body: Any, token: str) -> tuple[int, Any]:
        if self._pipe is None:
            self._pipe = await asyncio.open_connection(self.host, self.port)
        reader, writer = self._pipe
        content = b"" if body is None else json.dumps(body).encode()
        head = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", f"Content-Length: {len(content)}"]
        head += ["Content-Type: application/json"] * (body is not None)
        head += [f"Authorization: Bearer {token}"] * bool(token)
        writer.write("\r\n".join((*head, "", "")).encode() + content)
        top = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(top.partition(b"content-length: ")[2].split(b"\r\n", 1)[0] or 0)
        found = await reader.readexactly(length)
        if b"connection: close" in top:
            self.close()
        return int(top.split(b" ", 2)[1]), json.loads(found) if found else None

    def close(self) -> None:
        """Hangs up."""
        if self._pipe is not None:
            self._pipe[1].transport.abort()
            self._pipe = None


# -- the service ---------------------------------------------------------------------------------------------------
def bank(work: Path) -> Path:
    """The settings of the invented bank, built; `work` keeps them."""
    settings = work / "bank" / "support.toml"
    if not settings.is_file():
        _metier("support", "init", settings.parent, "--sample")
    if not (settings.parent / "support.built" / "built.json").is_file():
        _metier("support", "build", settings)
    return settings


def _metier(*words: object) -> None:
    subprocess.run([sys.executable, "-m", "metier.cli", *map(str, words)], cwd=ROOT, env=_environment(), check=True)


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}


@contextmanager
def serving(settings: Path, profile: str = "") -> Iterator[tuple[str, int, int, Path]]:
    """The bank's service on a copy of its store, in a process of its own: host, port, process id, the store's file."""
    folder = settings.parent
    store = folder / "load.db"
    for file in folder.glob("load.db*"):
        file.unlink()
    shutil.copyfile(folder / "support.db", store)
    text = settings.read_text(encoding="utf-8").replace('"support.db"', f'"{store.name}"')
    (folder / "load.toml").write_text(text + SERVICE, encoding="utf-8")
    command = [sys.executable, str(Path(__file__)), profile, str(folder / "load.toml")]
    with subprocess.Popen(command, cwd=ROOT, env=_environment(), stderr=subprocess.PIPE, text=True) as process:
        try:
            found = next(filter(None, (re.search(r" at http://([^:/]+):(\d+)", line) for line in process.stderr)))
            yield found[1], int(found[2]), process.pid, store
        finally:
            process.terminate()
            process.communicate(timeout=120)


def _candidates(folder: Path) -> list[str]:
    """What may be asked: questions of the table and others, sentences of the documents."""
    from metier.data.sentences import sentences

    with (folder / "faq.csv").open(encoding="utf-8", newline="") as file:
        found = [one for row in csv.DictReader(file) for one in row["question"].split(" || ")]
    with (folder / "questions.csv").open(encoding="utf-8", newline="") as file:
        found += [row["question"] for row in csv.DictReader(file)]
    lines = (folder / "support.built" / "passages.jsonl").read_text(encoding="utf-8").splitlines()
    return found + [one for line in lines for one in sentences(json.loads(line)["text"]) if len(one) > 20]


async def sorted_by_tier(line: Line, texts: Sequence[str]) -> dict[str, list[str]]:
    """Which tier answers which text, each asked in a conversation of its own."""
    found: dict[str, list[str]] = {}
    for text in texts:
        _, made = await line.ask("POST", CHAT, {})
        _, said = await line.ask("POST", f"{CHAT}/{made['id']}/messages", {"text": text}, made["token"])
        reply = said["replies"][0]
        if not reply["reply"].get("waiting"):  # what waits for a value is a conversation and no question
            found.setdefault(reply["tier"], []).append(text)
    return found


async def watched(load: Load, lines: Sequence[Line], pid: int, seconds: float) -> dict[str, Any]:
    """All customers for some seconds; memory (MiB, at the start and every minute) and processor time of the server."""
    import psutil

    process, clock = psutil.Process(pid), asyncio.get_running_loop().time
    begun, spent = clock(), process.cpu_times()
    memory: list[float] = []

    async def watch() -> None:
        while True:
            memory.append(round(process.memory_info().rss / 2**20, 1))
            await asyncio.sleep(min(60.0, seconds / 6))

    watching = asyncio.ensure_future(watch())
    await asyncio.gather(*(load.customer(line, begun + seconds) for line in lines))
    watching.cancel()
    took, after = clock() - begun, process.cpu_times()
    count = sum(load.statuses.values())
    busy = after.user + after.system - spent.user - spent.system
    return {
        "seconds": round(took, 1), "messages": count, "messages_per_second": round(count / took, 1),
        "statuses": dict(load.statuses), "latency_ms": {tier: cuts(found) for tier, found in load.taken.items()},
        "processor": {"cores_busy": round(busy / took, 2), "ms_a_message": round(1e3 * busy / max(count, 1), 1)},
        "memory_mib": [*memory, round(process.memory_info().rss / 2**20, 1)],
        **({"heard": dict(load.heard)} if load.sockets else {}),
    }  # fmt: skip


def cuts(found: Sequence[float]) -> dict[str, float]:
    """Quantiles of latencies."""
    if len(found) < 2:
        return {"n": len(found)}
    at = statistics.quantiles(found, n=100)
    return {"n": len(found), "p50": round(at[49], 1), "p95": round(at[94], 1), "p99": round(at[98], 1),
            "most": round(max(found), 1)}  # fmt: skip


def kept(store: Path, acknowledged: dict[str, list[str]]) -> dict[str, int]:
    """Messages that were acknowledged and are missing, that are there twice, that have no or more than one answer."""
    from metier.store import conversations, open_store

    count: Counter[str] = Counter(lost=0, doubled=0, unanswered=0, answered_twice=0)
    with open_store(store) as opened, opened.read() as connection:
        for id, sent in acknowledged.items():
            said = conversations.transcript(connection, id)
            ids = Counter(one.id for one in said if one.author == "visitor")
            answers = Counter(one.answers for one in said if one.author != "visitor")
            numbers = [one.number for one in said if one.author == "visitor"]
            count["lost"] += len(set(sent) - set(ids))
            count["doubled"] += sum(ids.values()) - len(set(sent) & set(ids))
            count["unanswered"] += sum(not answers[number] for number in numbers)
            count["answered_twice"] += sum(answers[number] > 1 for number in numbers)
    return dict(count)


# -- the measurements ----------------------------------------------------------------------------------------------
async def _measured(load: Load, place: tuple[str, int, int], seconds: float, conversations: int) -> dict[str, Any]:
    host, port, pid = place
    lines = [Line(host, port) for _ in range(conversations)]
    warm = Load(load.pools, rng=random.Random(7))
    await watched(warm, lines, pid, min(5.0, seconds))
    found = await watched(load, lines, pid, seconds)
    for line in lines:
        line.close()
    return found


def _pools(settings: Path, place: tuple[str, int, int]) -> dict[str, list[str]]:
    """Questions by the tier that answers them; kept beside what was built."""
    file, built = settings.parent / "tiers.json", settings.parent / "support.built" / "built.json"
    if not file.is_file() or file.stat().st_mtime < built.stat().st_mtime:
        found = asyncio.run(sorted_by_tier(Line(*place[:2]), _candidates(settings.parent)))
        file.write_text(json.dumps(found, ensure_ascii=False, indent=1), encoding="utf-8")
    return dict(json.loads(file.read_text(encoding="utf-8")))


def _flat(memory: Sequence[float]) -> bool:
    """Whether memory grew by less than 5 % (and 8 MiB) after the first third."""
    third = memory[len(memory) // 3]
    return memory[-1] - third < max(8.0, 0.05 * third)


def run(
    *, what: str = "tiers", seconds: float = 60.0, minutes: float = 10.0, conversations: int = 50,
    sockets: bool = False, work: str = "", profile: str = "",
) -> dict[str, Any]:  # fmt: skip
    """Latencies by tier, what was lost or doubled, memory; see above."""
    parts = {"tiers": (("template",), ("search",)), "soak": (("template", "search"),)}[what]
    seconds = 60.0 * minutes if what == "soak" else seconds
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = bank(Path(work or folder).absolute())
        for tiers in parts:
            with serving(settings, profile) as (*place, store):
                pools = _pools(settings, tuple(place))
                load = Load({tier: pools[tier] for tier in tiers}, sockets)
                figures = asyncio.run(_measured(load, tuple(place), seconds, conversations))
            figures["store"] = kept(store, load.acknowledged)
            found["both" if len(tiers) > 1 else tiers[0]] = figures
    asked = {tier: len(pools[tier]) for tier in BARS}
    return {"what": what, "questions": asked, "bars_ms": BARS, **found, "keeps": _keeps(found)}


def _keeps(found: dict[str, Any]) -> dict[str, bool]:
    """Whether the claims hold."""
    keeps = {}
    for name, one in found.items():
        for tier in BARS if name == "both" else (name,):
            keeps[f"{tier} p95"] = one["latency_ms"].get(tier, {}).get("p95", float("inf")) <= BARS[tier]
        keeps[f"{name} statuses"] = set(one["statuses"]) == {"200"}
        keeps[f"{name} store"] = not any(one["store"].values())
        if name == "both":
            keeps["memory"] = _flat(one["memory_mib"])
    return keeps


def _serve(profile: str, settings: str) -> None:
    from metier.cli import main

    if profile:
        _profiled(profile)
    sys.argv = ["metier", "support", "serve", settings, "--port", "0"]
    main()


def _profiled(file: str) -> None:
    """Adds up a profile over the threads that answer, and writes it at the end."""
    import atexit
    import cProfile
    import pstats

    from metier.serve.support import pool

    profiles: list[cProfile.Profile] = []
    plain = pool.ThreadPoolExecutor

    def begin() -> None:
        profiles.append(cProfile.Profile())
        profiles[-1].enable()

    def write() -> None:
        whole = pstats.Stats(profiles[0])
        for one in profiles[1:]:
            whole.add(one)
        whole.dump_stats(file)

    pool.ThreadPoolExecutor = lambda workers, thread_name_prefix: plain(workers, thread_name_prefix, begin)
    atexit.register(write)


if __name__ == "__main__":
    _serve(sys.argv[1], sys.argv[2])
