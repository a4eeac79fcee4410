"""The service under a mixed load: good requests, bad ones and clients that hang up, all at once.

The claim: no answer above 499 but 503, every kind of request gets the status that it deserves, and resident memory does
not grow. `python -m benchmarks serve_load` takes a minute; the suite runs three seconds of it.

And under single texts at a rate that no answer slows down (latencies are counted from the moment at which a request was
due, so that a server that stands still is not spared the requests that it kept waiting):

- `what=steady`: 100 a second; the claim is a p95 of at most 25 ms and no error.
- `what=over`: three times what the server can do; 503s with `Retry-After`, a p95 of the accepted of at most 250 ms, and
  memory that does not grow.
- `what=soak`: 100 a second for ten minutes, without growth.

`run=RUN` measures a run, else a model that does nothing for `pace` seconds a text.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections import Counter, defaultdict
from contextlib import contextmanager
from pathlib import Path

NAME = "serve_load"
ROOT = Path(__file__).parents[1]
JSON = {"content-type": "application/json"}
WORDS = (
    *("profit", "rose", "fell", "margin", "quarter", "guidance", "营收", "增长"),
    *("merger", "shares", "outlook", "EUR", "Nokia", "腾讯", "unchanged"),
)


def _text(rng: random.Random) -> str:
    return " ".join(rng.choices(WORDS, k=rng.randint(3, 30)))


# One request each: its weight, the status that it deserves, and what is sent, made from a random number generator.
KINDS = {
    "one text": (40, 200, lambda rng: {"json": {"text": _text(rng)}}),
    "many texts": (20, 200, lambda rng: {"json": {"texts": [_text(rng) for _ in range(rng.randint(2, 24))]}}),
    "a pair": (10, 200, lambda rng: {"json": {"text": {"text": _text(rng), "pair": _text(rng)}}}),
    "not JSON": (4, 400, lambda rng: {"content": b'{"text": ', "headers": JSON}),
    "too deep": (4, 400, lambda rng: {"content": b"[" * 5_000, "headers": JSON}),
    "too large": (2, 413, lambda rng: {"content": b" " * 1_500_000, "headers": JSON}),
    "wrong types": (4, 422, lambda rng: {"json": {"texts": [1, None, {"text": []}]}}),
    "too many texts": (2, 422, lambda rng: {"json": {"texts": ["a"] * 500}}),
    "too long a text": (2, 422, lambda rng: {"json": {"text": "a" * 30_000}}),
    "unknown head": (4, 422, lambda rng: {"json": {"text": "a", "heads": ["nothing"]}}),
    "wrong media type": (4, 415, lambda rng: {"content": b"text=a"}),
    "unknown address": (4, 404, lambda rng: {"method": "GET", "url": f"/v1/{rng.random()}"}),
    "wrong method": (2, 405, lambda rng: {"method": "DELETE"}),
}
HANG_UP = 0.05


async def load(url: str, *, pid: int, seconds: float, clients: int = 16, seed: int = 13) -> dict:
    """Sends the mix to `url` for some seconds and says what came back.

    Returns `requests` and `texts` a second, `latency` of good requests in ms, `statuses` by kind, `wrong` (the kinds
    that got a status other than theirs and 503), and resident memory of process `pid` in MiB: after a third of the
    time, and at the end.
    """
    import httpx
    import psutil

    process = psutil.Process(pid)
    until = time.perf_counter() + seconds
    statuses: dict[str, Counter] = defaultdict(Counter)
    latencies, memory, texts = [], [], 0

    async def client(number: int) -> None:
        nonlocal texts
        rng = random.Random(f"{seed}-{number}")
        names, weights = list(KINDS), [weight for weight, _, _ in KINDS.values()]
        # No certificates are read for each client: that takes longer than all of its requests.
        async with httpx.AsyncClient(base_url=url, timeout=60, verify=False) as http:
            while time.perf_counter() < until:
                if rng.random() < HANG_UP:
                    await hang_up(url)
                    continue
                name = rng.choices(names, weights)[0]
                request = {"method": "POST", "url": "/v1/predict"} | KINDS[name][2](rng)
                started = time.perf_counter()
                try:
                    found = await http.request(**request)
                except httpx.TransportError as error:
                    statuses[name][type(error).__name__] += 1
                    continue
                statuses[name][found.status_code] += 1
                if found.status_code == 200:
                    latencies.append((time.perf_counter() - started) * 1e3)
                    texts += len(found.json()["predictions"])

    async def watch() -> None:
        while time.perf_counter() < until:
            memory.append(process.memory_info().rss / 2**20)
            await asyncio.sleep(min(1.0, seconds / 20))

    started = time.perf_counter()
    await asyncio.gather(watch(), *(client(number) for number in range(clients)))
    took = time.perf_counter() - started
    cuts = statistics.quantiles(latencies, n=100) if len(latencies) > 1 else [0.0] * 99
    return {
        "seconds": round(took, 1),
        "requests_per_second": round(sum(sum(one.values()) for one in statuses.values()) / took, 1),
        "texts_per_second": round(texts / took, 1),
        "latency_ms": {"p50": round(cuts[49], 1), "p95": round(cuts[94], 1), "p99": round(cuts[98], 1)},
        "statuses": {
            name: {str(status): n for status, n in sorted(one.items(), key=str)} for name, one in statuses.items()
        },
        "wrong": {
            name: wrong
            for name, one in statuses.items()
            if (wrong := sorted(map(str, set(one) - {KINDS[name][1], 503})))
        },
        "memory_mib": {"after_a_third": round(memory[len(memory) // 3], 1), "end": round(memory[-1], 1)},
    }


async def hang_up(url: str) -> None:
    """A client that leaves in the middle: of its headers, of its body, or before its answer."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    body = b'{"texts": ["a", "b", "c"]}'
    lines = (
        "POST /v1/predict HTTP/1.1",
        f"Host: {host}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
    )
    whole = "\r\n".join((*lines, "", "")).encode() + body
    try:
        _, writer = await asyncio.open_connection(host, int(port))
        writer.write(whole[: random.choice((20, len(whole) - 5, len(whole)))])
        await writer.drain()
        writer.transport.abort()
    except OSError:
        return  # the server hung up first, which is its right


class Line:
    """One connection that is kept open; as little of HTTP as the service speaks, so that the load costs little."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._pipe: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, body: bytes) -> tuple[int, bool]:
        """The status of the answer, and whether it says when to come back."""
        if self._pipe is None or self._pipe[0].at_eof():  # the server may close what was idle
            self.close()
            self._pipe = await asyncio.open_connection(self._host, self._port)
        reader, writer = self._pipe
        head = (
            f"POST /v1/predict HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        writer.write(head.encode() + body)
        top = (await reader.readuntil(b"\r\n\r\n")).lower()
        length = int(top.partition(b"content-length: ")[2].split(b"\r\n", 1)[0])
        await reader.readexactly(length)
        if b"connection: close" in top:
            self.close()
        return int(top.split(b" ", 2)[1]), b"retry-after: " in top

    def close(self) -> None:
        if self._pipe is not None:
            self._pipe[1].transport.abort()
            self._pipe = None


async def rate(url: str, *, pid: int, per_second: float, seconds: float, seed: int = 13, lines: int = 400) -> dict:
    """Single texts at a rate, whatever the answers; what came back, and memory as `load` says it.

    Latencies in ms: of what was accepted, and of what was refused. `behind`: requests for which no line was free.
    """
    import psutil

    process, rng = psutil.Process(pid), random.Random(seed)
    host, port = url.removeprefix("http://").rsplit(":", 1)
    free = [Line(host, int(port)) for _ in range(lines)]
    statuses: Counter[str] = Counter()
    latencies: dict[str, list[float]] = {"accepted": [], "refused": []}
    memory, behind, under_way = [], 0, set()
    clock = asyncio.get_running_loop().time

    async def one(line: Line, due: float) -> None:
        try:
            status, says_when = await line.ask(json.dumps({"text": _text(rng)}).encode())
            statuses[str(status) if status != 503 or says_when else "503 without Retry-After"] += 1
            latencies["accepted" if status == 200 else "refused"].append((clock() - due) * 1e3)
        except (OSError, asyncio.IncompleteReadError) as error:
            statuses[type(error).__name__] += 1
            line.close()
        free.append(line)

    start = due = clock()
    while due < start + seconds:
        due += rng.expovariate(per_second)
        await asyncio.sleep(max(0.0, due - clock()))
        if len(memory) < (clock() - start) * 2:
            memory.append(process.memory_info().rss / 2**20)
        if not free:
            behind += 1
            continue
        task = asyncio.ensure_future(one(free.pop(), due))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)
    memory.append(process.memory_info().rss / 2**20)
    for line in free:
        line.close()
    return {
        "per_second": round(per_second, 1),
        "seconds": round(clock() - start, 1),
        "statuses": dict(statuses),
        "behind": behind,
        "latency_ms": {name: _cuts(found) for name, found in latencies.items()},
        "memory_mib": {
            "start": round(memory[0], 1),
            "after_a_third": round(memory[len(memory) // 3], 1),
            "most": round(max(memory), 1),
            "end": round(memory[-1], 1),
        },
    }


async def capacity(url: str, *, seconds: float, clients: int = 24, seed: int = 13) -> float:
    """Single texts a second that are answered to so many clients, each of which asks again as soon as it may."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    clock = asyncio.get_running_loop().time
    until, answered = clock() + seconds, 0

    async def client(rng: random.Random) -> None:
        nonlocal answered
        line = Line(host, int(port))
        while clock() < until:
            status, _ = await line.ask(json.dumps({"text": _text(rng)}).encode())
            answered += status == 200
        line.close()

    await asyncio.gather(*(client(random.Random(f"{seed}-{at}")) for at in range(clients)))
    return answered / seconds


def _cuts(latencies: list[float]) -> dict:
    if len(latencies) < 2:
        return {"n": len(latencies)}
    cuts = statistics.quantiles(latencies, n=100)
    names = {"p50": 49, "p95": 94, "p99": 98}
    return {"n": len(latencies), **{name: round(cuts[at], 1) for name, at in names.items()}}


async def measured(what: str, url: str, pid: int, seconds: float, per_second: float) -> dict:
    """One of the measurements of single texts, and whether it keeps its claim."""
    await rate(url, pid=pid, per_second=50, seconds=min(3.0, seconds))  # the server warms up
    if what == "over":
        most = await capacity(url, seconds=min(10.0, seconds))
        found = await rate(url, pid=pid, per_second=3 * most, seconds=seconds)
        p95, known = found["latency_ms"]["accepted"].get("p95", 0.0), {"200", "503"}
        return {
            "capacity_per_second": round(most, 1), **found,
            "keeps": {"statuses": set(found["statuses"]) == known, "p95_250_ms": p95 <= 250, "memory": _flat(found)},
        }  # fmt: skip
    found = await rate(url, pid=pid, per_second=per_second, seconds=seconds)
    p95 = found["latency_ms"]["accepted"].get("p95", 0.0)
    return found | {
        "keeps": {"statuses": set(found["statuses"]) == {"200"}, "p95_25_ms": p95 <= 25, "memory": _flat(found)}
    }


def _flat(found: dict) -> bool:
    """Whether memory grew by less than 5 % (and 4 MiB) after the first third."""
    memory = found["memory_mib"]
    return memory["end"] - memory["after_a_third"] < max(4.0, 0.05 * memory["after_a_third"])


async def until_ready(url: str) -> None:
    """Waits for the service; a run with much in it takes a while to load."""
    import httpx

    async with httpx.AsyncClient(base_url=url) as http:
        while (await http.get("/readyz")).status_code != 200:
            await asyncio.sleep(0.1)


@contextmanager
def serving(run: str | None, pace: float = 0.0):
    """A server in a process of its own; yields its address and process id."""
    command = [sys.executable, str(Path(__file__)), run or str(pace)]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()
            process.wait(60)


def run(
    *,
    run: str | None = None,
    what: str = "mix",
    seconds: float = 0.0,
    clients: int = 16,
    seed: int = 13,
    pace: float = 0.0,
    per_second: float = 100.0,
) -> dict:
    """The load on the service of a run, or, without one, of a model that does nothing (the service's own cost)."""
    seconds = seconds or {"mix": 60.0, "steady": 60.0, "over": 60.0, "soak": 600.0}[what]
    with serving(run, pace) as (url, pid):
        asyncio.run(until_ready(url))
        if what == "mix":
            found = asyncio.run(load(url, pid=pid, seconds=seconds, clients=clients, seed=seed)) | {"clients": clients}
        else:
            found = asyncio.run(measured(what, url, pid, seconds, per_second))
    return {"model": Path(run).name if run else f"constant, {pace:g} s a text", "what": what, **found}


class Constant:
    """A model that says the same of every text, after a while."""

    def __init__(self, pace: float = 0.0) -> None:
        self.pace = pace

    def describe(self) -> dict:
        return {"name": "constant", "version": "0", "heads": {"label": {"task": "classify", "labels": ["a", "b"]}}}

    def predict(self, documents: list) -> list:
        from metier.types import Prediction

        time.sleep(self.pace * len(documents))
        return [{"label": Prediction("a", 0.75, False, {"a": 0.75, "b": 0.25})} for _ in documents]


def _serve(run: str) -> None:
    from metier.serve import Settings, serve

    try:
        model: str | Constant = Constant(float(run))
    except ValueError:
        model = run
    serve(model, Settings(port=0, page=False), announce=lambda address: print(address, flush=True))


if __name__ == "__main__":
    _serve(sys.argv[1])
