"""The queue: what is joined, what is refused, what is dropped."""

from __future__ import annotations

import asyncio
import threading
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from serving import client_of
from standin import Standin

from metier.errors import DataError
from metier.serve import Limits, Settings
from metier.serve.batching import Batcher
from metier.serve.problems import Problem
from metier.serve.turns import Turns
from metier.types import Document, Prediction


class Held:
    """A model that predicts when it is let: each call waits for the gate."""

    def __init__(self):
        self.batches, self.entered, self.gate = [], threading.Event(), threading.Event()

    def __call__(self, documents):
        self.batches.append([document.text for document in documents])
        self.entered.set()
        assert self.gate.wait(10)
        if any(document.text == "bad" for document in documents):
            raise DataError("bad text")
        return [{"head": Prediction(document.text, 1.0)} for document in documents]


@asynccontextmanager
async def batcher_of(predict, **limits):
    found = replace(Limits(), **({"batch_seconds": 60.0} | limits))  # how long a model is held says nothing
    turns = Turns(found)
    batcher = Batcher(predict, found, turns)
    turns.start()
    batcher.start()
    try:
        yield batcher
    finally:
        if isinstance(predict, Held):
            predict.gate.set()
        await batcher.close()
        turns.close()


def texts(*names):
    return [Document(name) for name in names]


def labels(reply):
    return [answer["head"].label for answer in reply.answers]


async def until(condition):
    for _ in range(500):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it never came to be")


async def first(batcher, held):
    """A request that occupies the thread."""
    task = asyncio.create_task(batcher.submit(texts("first")))
    await until(held.entered.is_set)
    return task


def test_what_waits_becomes_one_batch():
    async def scenario():
        held = Held()
        async with batcher_of(held) as batcher:
            busy = await first(batcher, held)
            waiting = [asyncio.create_task(batcher.submit(texts(f"{i}a", f"{i}b"))) for i in range(3)]
            await until(lambda: batcher.length == 6)
            held.gate.set()
            answers = await asyncio.gather(busy, *waiting)
            assert batcher.idle
            return held.batches, [labels(answer) for answer in answers]

    batches, answers = asyncio.run(scenario())
    assert batches == [["first"], ["0a", "0b", "1a", "1b", "2a", "2b"]]
    assert answers == [["first"], ["0a", "0b"], ["1a", "1b"], ["2a", "2b"]]


def test_one_request_alone_does_not_wait():
    async def scenario():
        held = Held()
        held.gate.set()
        async with batcher_of(held) as batcher:
            started = asyncio.get_running_loop().time()
            for _ in range(20):
                await batcher.submit(texts("a"))
            return asyncio.get_running_loop().time() - started

    assert asyncio.run(scenario()) < 1.0, "no request lingers for company"


@pytest.mark.parametrize(
    ("limits", "sizes"), [({"batch_texts": 2}, [1, 2, 2, 1]), ({"batch_characters": 30}, [1, 3, 2]), ({}, [1, 5])]
)
def test_batches_are_bounded_by_texts_and_by_characters(limits, sizes):
    async def scenario():
        held = Held()
        async with batcher_of(held, **limits) as batcher:
            busy = await first(batcher, held)
            many = asyncio.create_task(batcher.submit(texts(*(str(i) * 10 for i in range(5)))))
            await until(lambda: batcher.length == 5)
            held.gate.set()
            await busy
            assert [label[0] for label in labels(await many)] == list("01234")
            return [len(batch) for batch in held.batches]

    assert asyncio.run(scenario()) == sizes


def test_a_text_larger_than_a_batch_goes_alone():
    async def scenario():
        held = Held()
        held.gate.set()
        async with batcher_of(held, batch_characters=5) as batcher:
            return labels(await batcher.submit(texts("longer than five", "b")))

    assert asyncio.run(scenario()) == ["longer than five", "b"]


def test_long_texts_share_no_batch_by_default():
    async def scenario():
        held = Held()
        held.gate.set()
        async with batcher_of(held) as batcher:
            await batcher.submit(texts("中" * 9_000, "文" * 9_000, "字" * 20_000, "a", "b"))
            return [len(batch) for batch in held.batches]

    assert asyncio.run(scenario()) == [1, 1, 1, 2]


def test_a_full_queue_refuses():
    async def scenario():
        held = Held()
        async with batcher_of(held, queue=3, texts=3) as batcher:
            busy = await first(batcher, held)
            waiting = asyncio.create_task(batcher.submit(texts("a", "b")))
            await until(lambda: batcher.length == 2)
            with pytest.raises(Problem) as refused:
                await batcher.submit(texts("c", "d"))
            last = asyncio.create_task(batcher.submit(texts("c")))
            await until(lambda: batcher.length == 3)
            held.gate.set()
            await asyncio.gather(busy, waiting, last)
            return refused.value

    problem = asyncio.run(scenario())
    assert problem.status == 503
    assert 1 <= int(problem.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("how", ["cancelled", "timed out"])
def test_a_request_that_nobody_waits_for_leaves_the_queue(how):
    async def scenario():
        held = Held()
        async with batcher_of(held, request_seconds=0.2 if how == "timed out" else 30) as batcher:
            busy = await first(batcher, held)
            gone = asyncio.create_task(batcher.submit(texts("gone")))
            await until(lambda: batcher.length == 1)
            if how == "cancelled":
                gone.cancel()
            outcome = (await asyncio.gather(gone, return_exceptions=True))[0]
            assert batcher.length == 0
            held.gate.set()
            await asyncio.gather(busy, return_exceptions=True)
            await batcher.submit(texts("last"))
            return outcome, held.batches

    outcome, batches = asyncio.run(scenario())
    assert batches == [["first"], ["last"]]
    assert isinstance(outcome, asyncio.CancelledError if how == "cancelled" else Problem)


def test_a_bad_text_spoils_no_other_request():
    async def scenario():
        held = Held()
        async with batcher_of(held) as batcher:
            busy = await first(batcher, held)
            tasks = [asyncio.create_task(batcher.submit(texts(name))) for name in ("good", "bad", "fine")]
            await until(lambda: batcher.length == 3)
            held.gate.set()
            await busy
            return await asyncio.gather(*tasks, return_exceptions=True)

    good, bad, fine = asyncio.run(scenario())
    assert (labels(good), labels(fine)) == (["good"], ["fine"])
    assert isinstance(bad, DataError)


@pytest.mark.parametrize("raised", [SystemExit(3), StopIteration(), KeyboardInterrupt()])
def test_nothing_that_a_model_raises_ends_the_thread(raised):
    """A panic in Rust is no `Exception` either."""

    def predict(documents):
        if documents[0].text == "bad":
            raise raised
        return [{"head": Prediction(document.text, 1.0)} for document in documents]

    async def scenario():
        async with batcher_of(predict) as batcher:
            with pytest.raises(RuntimeError, match=type(raised).__name__):
                await asyncio.wait_for(batcher.submit(texts("bad")), 5)
            return labels(await asyncio.wait_for(batcher.submit(texts("good")), 5))

    assert asyncio.run(scenario()) == ["good"]


def test_a_model_that_answers_too_few_is_a_fault():
    async def scenario():
        async with batcher_of(lambda documents: []) as batcher:
            await batcher.submit(texts("a"))

    with pytest.raises(RuntimeError, match="0 of 1"):
        asyncio.run(scenario())


def test_closing_refuses_what_waits():
    async def scenario():
        held = Held()
        async with batcher_of(held) as batcher:
            busy = await first(batcher, held)
            waiting = asyncio.create_task(batcher.submit(texts("a")))
            await until(lambda: batcher.length == 1)
        busy.cancel()
        return (await asyncio.gather(waiting, busy, return_exceptions=True))[0]

    assert asyncio.run(scenario()).status == 503


def test_requests_of_many_clients_share_batches():
    model = Standin(delay=0.02)

    async def scenario():
        async with client_of(model) as client:
            jobs = (client.post("/v1/predict", json={"text": f"profit {i}"}) for i in range(60))
            return [one.status_code for one in await asyncio.gather(*jobs)]

    assert set(asyncio.run(scenario())) == {200}
    assert len(model.batches) < 20
    assert max(model.batches) > 4


def test_a_full_queue_over_http():
    settings = Settings(page=False, limits=replace(Limits(), queue=4, texts=4))

    async def scenario():
        async with client_of(Standin(delay=0.2), settings) as client:
            found = await asyncio.gather(*(client.post("/v1/predict", json={"text": "a"}) for _ in range(20)))
            return found, (await client.get("/metrics")).text

    found, metrics = asyncio.run(scenario())
    refused = [one for one in found if one.status_code == 503]
    assert 0 < len(refused) < 20
    assert all(one.headers["content-type"] == "application/problem+json" for one in refused)
    assert all(int(one.headers["retry-after"]) >= 1 for one in refused)
    assert f'metier_rejected_total{{status="503"}} {float(len(refused))}' in metrics


def test_an_answer_that_takes_too_long():
    settings = Settings(page=False, limits=replace(Limits(), request_seconds=0.2))

    async def scenario():
        async with client_of(Standin(delay=0.6), settings) as client:
            return await client.post("/v1/predict", json={"text": "a"})

    found = asyncio.run(scenario())
    assert found.status_code == 503
    assert "0.2 seconds" in found.json()["detail"]
