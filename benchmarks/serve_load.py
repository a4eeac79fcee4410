"""The service under a mixed load: good requests, bad ones and clients that hang up, all at once.

The claim: no answer above 499 but 503, every kind of request gets the status that it deserves, and resident memory does
not grow. `python -m benchmarks serve_load` takes a minute; the suite runs three seconds of it.
"""

from __future__ import annotations

import asyncio
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
        async with httpx.AsyncClient(base_url=url, timeout=60) as http:
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


@contextmanager
def serving(run: str | None):
    """A server in a process of its own; yields its address and process id."""
    command = [sys.executable, str(Path(__file__)), *([run] if run else [])]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process.stdout.readline().strip(), process.pid
        finally:
            process.terminate()
            process.wait(60)


def run(*, run: str | None = None, seconds: float = 60.0, clients: int = 16, seed: int = 13) -> dict:
    """The load on the service of a run, or, without one, of a model that does nothing (the service's own cost)."""
    with serving(run) as (url, pid):
        found = asyncio.run(load(url, pid=pid, seconds=seconds, clients=clients, seed=seed))
    return {"model": Path(run).name if run else "constant", "clients": clients, **found}


class Constant:
    """A model that says the same of every text."""

    def describe(self) -> dict:
        return {"name": "constant", "version": "0", "heads": {"label": {"task": "classify", "labels": ["a", "b"]}}}

    def predict(self, documents: list) -> list:
        from metier.types import Prediction

        return [{"label": Prediction("a", 0.75, False, {"a": 0.75, "b": 0.25})} for _ in documents]


def _serve(run: str | None) -> None:
    from metier.serve import Settings, serve

    serve(run or Constant(), Settings(port=0, page=False), announce=lambda address: print(address, flush=True))


if __name__ == "__main__":
    _serve(sys.argv[1] if len(sys.argv) > 1 else None)
