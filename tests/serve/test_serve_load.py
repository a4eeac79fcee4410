"""Good and bad requests together: three seconds here, a minute under `make soak`."""

from __future__ import annotations

import asyncio
import sys
import time

import httpx
import pytest
from serving import ROOT, served

sys.path.insert(0, str(ROOT))

from benchmarks.serve_load import KINDS, capacity, load, rate, until_ready


def settled(one):
    """The metrics, once nobody waits any more."""
    quiet = ("metier_queue_texts 0.0", "metier_requests_in_flight 1.0")  # the one that asks
    for _ in range(100):
        metrics = httpx.get(f"{one.url}/metrics").text
        if all(line in metrics for line in quiet):
            break
        time.sleep(0.1)
    assert all(line in metrics for line in quiet), "nobody is forgotten, nobody is counted twice"
    return metrics


@pytest.mark.parametrize("seconds", [3, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(180)])])
def test_a_mixed_load(seconds):
    with served("--delay", "0.002", "--limit", "queue=128") as one:
        found = asyncio.run(load(one.url, pid=one.process.pid, seconds=seconds))
        assert found["wrong"] == {}
        assert len(found["statuses"]) >= len(KINDS) - 2
        assert found["memory_mib"]["end"] - found["memory_mib"]["after_a_third"] < 12
        settled(one)
        assert one.stop() == 0
        assert one.process.stderr.read() == ""


def test_two_runs_at_once_and_clients_that_leave():
    """A hundred requests in parallel, a third of which hang up: the others get theirs, and nobody is forgotten."""
    with served("--delay", "0.01", "--pace", "0.01", "--run", "slow", "--limit", "wait_seconds=60.0") as one:

        async def ask(client, number):
            address = f"{one.url}/v1/runs/slow/predict" if number % 2 else f"{one.url}/v1/predict"
            request = client.post(address, json={"texts": ["a" * number] * 3})
            if number % 3:
                return await request
            with pytest.raises((TimeoutError, httpx.HTTPError)):
                await asyncio.wait_for(request, 0.01 * (number % 10))
            return None

        async def all_of_them():
            async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=100)) as client:
                return await asyncio.gather(*(ask(client, number) for number in range(100)))

        for number, found in enumerate(asyncio.run(all_of_them())):
            if found is not None:
                assert found.status_code == 200
                assert found.json()["run"] == "slow" or not number % 2
                assert [text["urgency"]["label"] for text in found.json()["predictions"]] == [number / 100] * 3
        metrics = settled(one)
        assert 'metier_rejected_total{status="503"}' not in metrics, "who left was not refused"
        assert 'metier_run_requests_total{run="slow",status="200"}' in metrics
        assert one.stop() == 0
        assert one.process.stderr.read() == ""


def test_single_texts_at_a_rate_and_beyond_the_capacity():
    """The generator of the benchmark: every request has an answer, in time or at once, and memory stays."""

    async def scenario(one):
        await until_ready(one.url)
        steady = await rate(one.url, pid=one.process.pid, per_second=20, seconds=1.5)
        most = await capacity(one.url, seconds=1.0, clients=8)
        return steady, most, await rate(one.url, pid=one.process.pid, per_second=4 * most, seconds=2.0)

    with served("--pace", "0.02") as one:
        steady, most, over = asyncio.run(scenario(one))
        settled(one)
        assert one.stop() == 0
        assert one.process.stderr.read() == ""
    assert set(steady["statuses"]) <= {"200", "503"} and steady["statuses"]["200"] > 5
    assert 0 < most < 60 and set(over["statuses"]) == {"200", "503"}, "and every 503 says when to come back"
    assert over["memory_mib"]["end"] - over["memory_mib"]["start"] < 20
