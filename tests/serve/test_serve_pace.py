"""What a batch costs, what waits too long, and when a batch waits to be fuller."""

from __future__ import annotations

import asyncio
import random
import time
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from serving import client_of
from standin import Standin

from metier.serve import Limits, Settings, batching
from metier.serve.batching import Batcher
from metier.serve.pace import Pace, Returns
from metier.serve.problems import Problem
from metier.serve.turns import Turns
from metier.types import Document, Prediction


class Costing:
    """A model whose batch costs `fixed` seconds and `each` for every text."""

    def __init__(self, fixed, each):
        self.fixed, self.each, self.sizes = fixed, each, []

    def __call__(self, documents):
        self.sizes.append(len(documents))
        time.sleep(self.fixed + self.each * len(documents))
        return [{"head": Prediction(document.text, 1.0)} for document in documents]


@asynccontextmanager
async def batcher_of(predict, **limits):
    found = replace(Limits(), **limits)
    turns = Turns(found)
    batcher = Batcher(predict, found, turns)
    turns.start()
    batcher.start()
    try:
        yield batcher
    finally:
        await batcher.close()
        turns.close()


def texts(count):
    return [Document(str(at)) for at in range(count)]


async def known(batcher):
    """Once the batcher has seen small and large batches."""
    for count in (1, 1, 8, 2):
        await batcher.submit(texts(count))


# -- costs ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("truth", [(0.001, 0.0, 0.0), (0.001, 0.0, 0.01), (0.0005, 0.002, 0.004), (0.0, 0.001, 0.0)])
def test_it_learns_what_a_batch_costs(truth):
    each, hundred, fixed = truth
    pace, rng = Pace(), random.Random(1)
    for _ in range(200):
        count = rng.randint(1, 32)
        size = sum(rng.randint(10, 300) for _ in range(count))
        pace.observe(count, size, (each * count + hundred * size / 100 + fixed) * rng.uniform(0.9, 1.1))
    for count, size in ((1, 50), (16, 3200), (32, 3200)):
        expected = each * count + hundred * size / 100 + fixed
        assert pace.seconds(count, size) == pytest.approx(expected, rel=0.2, abs=5e-4)
    assert pace.seconds(64, 6400, 2) == pytest.approx(2 * pace.seconds(32, 3200))


def test_the_first_call_is_forgotten_and_a_stumble_counts_little():
    pace = Pace()
    assert not pace.known and pace.fits(1.0, 10.0) == 1
    pace.observe(1, 20, 3.0)
    assert pace.seconds(1, 20) == pytest.approx(3.0)
    for _ in range(20):
        pace.observe(1, 20, 0.003)
    assert pace.seconds(1, 20) == pytest.approx(0.003)
    pace.observe(1, 20, 2.0)
    assert pace.seconds(1, 20) < 0.006, "one stumble"
    for _ in range(60):
        pace.observe(1, 20, 0.05)
    assert pace.seconds(1, 20) == pytest.approx(0.05, rel=0.1), "a machine that has become slow"


def test_returns():
    returns = Returns()
    assert returns.due == 0
    for batch in range(40):
        returns.ended(batch * 0.02)
        for at in range(8):
            returns.came(1, batch * 0.02 + at * 0.001, soon=0.0055)
    assert returns.due == pytest.approx(0, abs=0.1), "six of eight came soon, as always"
    returns.ended(0.8)
    assert returns.due == pytest.approx(6, abs=0.1) and returns.since(0.9) == pytest.approx(0.1)


# -- admission -----------------------------------------------------------------------------------------------------
def test_what_would_wait_too_long_is_refused_at_once():
    async def scenario():
        async with batcher_of(Costing(0.0, 0.01), wait_seconds=0.2, batch_texts=8) as batcher:
            await known(batcher)
            started = time.monotonic()
            jobs = [asyncio.create_task(batcher.submit(texts(1))) for _ in range(200)]
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            refused = [job for job in jobs if job.done()]
            at_once = time.monotonic() - started
            found = await asyncio.gather(*jobs, return_exceptions=True)
            again = await batcher.submit(texts(1))
            return len(refused), at_once, found, again, (batcher.length, batcher._characters)

    refused, at_once, found, again, left = asyncio.run(scenario())
    problems = [one for one in found if isinstance(one, Problem)]
    assert len(problems) == refused and {one.status for one in problems} == {503}
    assert 15 <= 200 - refused <= 30, "0.2 seconds are twenty texts"
    assert all(int(one.headers["Retry-After"]) >= 1 for one in problems) and at_once < 5
    assert len(again.answers) == 1 and left == (0, 0)


def test_one_request_is_never_too_long_and_shuts_out_nobody():
    async def scenario():
        async with batcher_of(Costing(0.0, 0.005), wait_seconds=0.05, batch_texts=4) as batcher:
            await known(batcher)
            bulk = asyncio.create_task(batcher.submit(texts(128)))
            await asyncio.sleep(0.02)
            single = await batcher.submit(texts(1))
            return len((await bulk).answers), len(single.answers)

    assert asyncio.run(scenario()) == (128, 1)


def test_a_slow_model_may_be_waited_for():
    async def scenario():
        async with batcher_of(Costing(0.0, 0.05), wait_seconds=0.01, batch_texts=8) as batcher:
            await known(batcher)
            jobs = [asyncio.create_task(batcher.submit(texts(1))) for _ in range(40)]
            found = await asyncio.gather(*jobs, return_exceptions=True)
            return sum(not isinstance(one, Problem) for one in found)

    assert 8 <= asyncio.run(scenario()) <= 12, "eight, and who comes first"


def test_who_leaves_leaves_nothing_behind():
    async def scenario():
        async with batcher_of(Costing(0.02, 0.0), batch_texts=2) as batcher:
            await known(batcher)
            jobs = [asyncio.create_task(batcher.submit(texts(at % 5 + 1))) for at in range(30)]
            for at, job in enumerate(jobs):
                await asyncio.sleep(0.002)
                if at % 2:
                    job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            return batcher.length, batcher._characters, batcher._foretold()

    assert asyncio.run(scenario()) == (0, 0, 0.0)


def test_nothing_is_read_that_would_be_refused():
    """The answer comes before the body: it may be anything, and is not parsed."""
    settings = Settings(page=False, limits=replace(Limits(), wait_seconds=0.05, batch_texts=2))

    async def scenario():
        async with client_of([Standin(pace=0.05)], settings) as client:
            await client.service.default._warming
            jobs = [asyncio.create_task(client.post("/v1/predict", json={"text": "a"})) for _ in range(40)]
            while not any(job.done() for job in jobs):
                await asyncio.sleep(0.001)
            late = [await client.post("/v1/predict", content=b"no JSON at all") for _ in range(1)]
            return [one.status_code for one in await asyncio.gather(*jobs)], late

    found, late = asyncio.run(scenario())
    assert set(found) == {200, 503}
    assert [one.status_code for one in late] == [503] and int(late[0].headers["retry-after"]) >= 1


# -- filling -------------------------------------------------------------------------------------------------------
sleep = asyncio.sleep


async def clients(batcher, count, seconds, *, thought=0.0):
    """So many clients, each of which asks again as soon as it has its answer, after a thought of up to so long."""
    until = time.monotonic() + seconds

    async def one(rng):
        while time.monotonic() < until:
            await batcher.submit(texts(1))
            if thought:
                await sleep(rng.uniform(0, thought))

    await asyncio.gather(*(one(random.Random(at)) for at in range(count)))


def naps(monkeypatch):
    """The times for which batches waited to be fuller."""
    found = []

    async def nap(seconds):
        found.append(seconds)
        await sleep(seconds)

    monkeypatch.setattr(batching.asyncio, "sleep", nap)
    return found


def test_one_client_alone_never_waits(monkeypatch):
    async def scenario():
        async with batcher_of(Costing(0.004, 0.0)) as batcher:
            await known(batcher)
            waited = naps(monkeypatch)
            await clients(batcher, 1, 0.5)
            return waited

    assert asyncio.run(scenario()) == []


def test_under_load_batches_fill(monkeypatch):
    """Sixteen clients: the first who comes back does not have a batch for himself while the others wait for it."""

    async def scenario(fill):
        model = Costing(0.02, 0.0002)
        async with batcher_of(model, fill_seconds=fill) as batcher:
            await known(batcher)
            await clients(batcher, 16, 0.3, thought=0.004)
            model.sizes.clear()
            with monkeypatch.context() as patch:
                waited = naps(patch)
                await clients(batcher, 16, 1.0, thought=0.004)
            return sum(model.sizes) / len(model.sizes), waited

    (filled, waited), (plain, none) = asyncio.run(scenario(0.005)), asyncio.run(scenario(1e-9))
    assert none == [] and 0 < max(waited) <= 0.005
    assert filled > plain


def test_a_model_that_gains_nothing_by_full_batches_does_not_wait(monkeypatch):
    async def scenario():
        async with batcher_of(Costing(0.0, 0.004)) as batcher:
            await known(batcher)
            waited = naps(monkeypatch)
            await clients(batcher, 8, 0.5)
            return waited

    assert asyncio.run(scenario()) == []
