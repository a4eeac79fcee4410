"""Several runs in one service: who is asked, who comes next, and what they share."""

from __future__ import annotations

import asyncio
import threading
import time
from dataclasses import replace

import pytest
from serving import client_of
from standin import ABOUT, Standin

from metier.errors import RecipeError
from metier.serve import Limits, Settings, create_app, serve
from metier.serve.batching import Batcher
from metier.serve.problems import Problem
from metier.serve.turns import Turns
from metier.types import Document, Prediction

FIRST = ABOUT["name"]
OTHER = "news & 新闻 100 %"
ESCAPED = "news%20%26%20%E6%96%B0%E9%97%BB%20100%20%25"
HEADS = {"urgency": ABOUT["heads"]["urgency"]}


def other(**kw):
    return Standin(name=OTHER, version="other", heads=HEADS, **kw)


def scenario(models, requests, settings=None):
    """The answers to requests, each `(method, path, json)`, one after another."""

    async def ask():
        async with client_of(models, settings) as client:
            return [await client.request(method, path, json=body) for method, path, body in requests]

    return asyncio.run(ask())


def test_the_first_is_the_default_and_the_others_have_names():
    text = {"text": "profit rose"}
    default, named, further = scenario(
        [Standin(), other()],
        [("POST", path, text) for path in ("/v1/predict", f"/v1/runs/{FIRST}/predict", f"/v1/runs/{ESCAPED}/predict")],
    )
    assert default.json() == named.json()
    assert default.json()["run"] == ABOUT["version"]
    assert further.json()["run"] == "other"
    assert list(further.json()["predictions"][0]) == ["urgency"]


def test_the_list_names_them_all():
    listed, about = scenario([Standin(), other()], [("GET", "/v1/runs", None), ("GET", "/v1/run", None)])
    found = listed.json()
    assert found["default"] == FIRST
    assert [run["name"] for run in found["runs"]] == [FIRST, OTHER]
    first = found["runs"][0]
    assert first == about.json() | {name: first[name] for name in ("ready", "loaded", "memory")}
    assert first["loaded"] and found["memory"]["limit"] is None and found["memory"]["used"] > 2**20
    assert about.json() == ABOUT


def test_an_unknown_run_is_told_the_known_ones():
    unknown, head, method = scenario(
        [Standin(), other()],
        [
            ("POST", "/v1/runs/standin-20260101-000001/predict", {"text": "a"}),
            ("POST", f"/v1/runs/{ESCAPED}/predict", {"text": "a", "heads": ["sentiment"]}),
            ("GET", f"/v1/runs/{ESCAPED}/predict", None),
        ],
    )
    assert (unknown.status_code, head.status_code, method.status_code) == (404, 422, 405)
    assert unknown.headers["content-type"] == "application/problem+json"
    assert f"Did you mean '{FIRST}'? There are: {FIRST}, {OTHER}." in unknown.json()["detail"]
    assert "It has: urgency." in head.json()["detail"]


def test_keys_guard_every_run(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("a-key")
    found = scenario(
        [Standin(), other()],
        [
            ("POST", f"/v1/runs/{ESCAPED}/predict", {"text": "a"}),
            ("POST", "/v1/runs/nothing/predict", {"text": "a"}),
            *(("GET", path, None) for path in ("/v1/runs", "/openapi.json", "/readyz", "/healthz", "/docs")),
        ],
        Settings(page=False, api_key_file=keys),
    )
    assert [one.status_code for one in found[:4]] == [401, 401, 401, 200]
    assert all(OTHER not in one.text and FIRST not in one.text for one in found), (
        "no run is named before a key is shown"
    )


def test_two_of_the_same_name_are_one_mistake(tmp_path):
    with pytest.raises(RecipeError, match="Two runs are called 'news'"):
        serve([tmp_path / "a" / "news", tmp_path / "b" / "news"], Settings(page=False))
    with pytest.raises(RecipeError, match=f"Two runs are called '{FIRST}'"):
        create_app([Standin(), Standin()], Settings(page=False))
    with pytest.raises(RecipeError, match="no run to serve"):
        create_app([], Settings(page=False))


def test_the_document_knows_the_runs():
    (found,) = scenario([other(), Standin()], [("GET", "/openapi.json", None)])
    document = found.json()
    name = document["paths"]["/v1/runs/{name}/predict"]["post"]["parameters"][0]
    assert name["schema"]["enum"] == [OTHER, FIRST]
    heads = document["components"]["schemas"]["OneText"]["properties"]["heads"]["anyOf"][0]["items"]["enum"]
    assert set(heads) == set(ABOUT["heads"])


def test_what_is_counted_is_counted_by_run():
    requests = [
        ("POST", "/v1/predict", {"text": "a"}),
        ("POST", f"/v1/runs/{ESCAPED}/predict", {"texts": ["a", "b"]}),
        ("POST", "/v1/runs/nothing/predict", {"text": "a"}),
        ("GET", "/metrics", None),
    ]
    metrics = scenario([Standin(), other()], requests)[-1].text
    for line in (
        f'metier_run_requests_total{{run="{FIRST}",status="200"}} 1.0',
        f'metier_run_requests_total{{run="{OTHER}",status="200"}} 1.0',
        f'metier_run_queue_texts{{run="{OTHER}"}}',  # texts of the warm-up may wait still
        f'metier_run_memory_bytes{{run="{OTHER}"}}',
        f'metier_run_ready{{run="{FIRST}"}} 1.0',
        'metier_requests_total{method="POST",route="/v1/runs/{run}/predict",status="200"} 1.0',
        'metier_requests_total{method="POST",route="other",status="404"} 1.0',
        "metier_queue_texts ",
    ):
        assert line in metrics
    assert "nothing" not in metrics, "a client cannot make a label"


def test_it_is_ready_when_every_run_is():
    async def ask():
        async with client_of([Standin(), other(delay=0.4)]) as client:
            await asyncio.sleep(0.2)
            before, listed = await client.get("/readyz"), (await client.get("/v1/runs")).json()
            await asyncio.sleep(0.6)
            return before, listed, await client.get("/readyz"), await client.get("/healthz")

    before, listed, after, alive = asyncio.run(ask())
    assert before.json()["detail"] == "1 of 2 models are being loaded."
    assert [run["ready"] for run in listed["runs"]] == [True, False]
    assert (before.status_code, after.status_code, alive.status_code) == (503, 200, 200)


def test_one_inference_at_a_time():
    inside, most, threads = [], [], set()

    class Alone(Standin):
        def predict(self, documents):
            inside.append(1)
            most.append(len(inside))
            threads.add(threading.get_ident())
            time.sleep(0.002)
            inside.pop()
            return super().predict(documents)

    async def ask():
        async with client_of([Alone(name=str(i)) for i in range(3)]) as client:
            jobs = (client.post(f"/v1/runs/{i % 3}/predict", json={"text": f"text {i}"}) for i in range(90))
            return [one.status_code for one in await asyncio.gather(*jobs)]

    assert set(asyncio.run(ask())) == {200}
    assert max(most) == 1
    assert len(threads) == 1


def test_a_hundred_requests_at_once_to_two_runs():
    """Each gets its own answer, of the run that it asked."""

    async def ask():
        async with client_of([Standin(), other()]) as client:
            paths = ["/v1/predict", f"/v1/runs/{ESCAPED}/predict"]
            jobs = (client.post(paths[i % 2], json={"text": "a" * i}) for i in range(100))
            return [one.json() for one in await asyncio.gather(*jobs)]

    for i, found in enumerate(asyncio.run(ask())):
        assert found["run"] == (ABOUT["version"], "other")[i % 2]
        assert found["predictions"][0]["urgency"]["label"] == i / 100


# -- fairness ------------------------------------------------------------------------------------------------------
class Paced:
    """A model that takes `seconds` a text, and writes down its batches with the times at which they began."""

    def __init__(self, seconds, log, name):
        self.seconds, self.log, self.name = seconds, log, name

    def __call__(self, documents):
        self.log.append((self.name, len(documents)))
        time.sleep(self.seconds * len(documents))
        return [{"head": Prediction(document.text, 1.0)} for document in documents]


def batchers(limits, *predicts):
    turns = Turns(limits)
    found = [Batcher(predict, limits, turns) for predict in predicts]
    turns.start()
    for batcher in found:
        batcher.start()
    return turns, found


async def close(turns, found):
    for batcher in found:
        await batcher.close()
    turns.close()


def texts(count):
    return [Document(str(i)) for i in range(count)]


def test_each_run_gets_its_share_of_the_time():
    """One run's texts take ten times as long as the other's: it gets a tenth of the texts, and not of the time."""
    limits, log = replace(Limits(), batch_texts=1), []

    async def work():
        turns, found = batchers(limits, Paced(0.02, log, "slow"), Paced(0.002, log, "fast"))
        jobs = [asyncio.create_task(batcher.submit(texts(100))) for batcher in found]
        await jobs[1]
        spent = list(log)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await close(turns, found)
        return spent

    spent = [name for name, _ in asyncio.run(work())]
    assert 4 <= spent.count("slow") <= 25, "a hundred fast texts take as long as ten slow ones"
    assert "slow" in spent[:40]
    assert "slow" in spent[-40:]


def test_a_run_that_was_idle_has_saved_up_nothing():
    limits, log = replace(Limits(), batch_texts=1), []

    async def work():
        turns, found = batchers(limits, Paced(0.004, log, "busy"), Paced(0.004, log, "late"))
        await found[0].submit(texts(60))
        log.clear()
        await asyncio.gather(*(batcher.submit(texts(20)) for batcher in found))
        await close(turns, found)

    asyncio.run(work())
    first = [name for name, _ in log[:20]]
    assert 6 <= first.count("busy") <= 14


def test_a_batch_is_no_longer_than_a_batch_may_take():
    limits, log = replace(Limits(), batch_seconds=0.1), []

    async def work():
        turns, found = batchers(limits, Paced(0.02, log, "slow"))
        await found[0].submit(texts(12))
        await close(turns, found)

    asyncio.run(work())
    sizes = [size for _, size in log]
    assert sizes[0] == 1, "of a model that nobody knows one text is asked"
    assert max(sizes) <= 5


def test_a_slow_model_loses_nobody():
    """Requests that were accepted wait for many times what one may wait for a model that stands still."""
    limits = replace(Limits(), request_seconds=0.3, batch_seconds=0.2, wait_seconds=60.0)
    settings = Settings(page=False, limits=limits)

    async def ask():
        async with client_of([Standin(), other(pace=0.05)], settings) as client:
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)
            slow = (client.post(f"/v1/runs/{ESCAPED}/predict", json={"texts": ["a"] * 5}) for _ in range(6))
            quick = (client.post("/v1/predict", json={"text": "a"}) for _ in range(6))
            started = time.monotonic()
            found = await asyncio.gather(*slow, *quick)
            return time.monotonic() - started, found

    seconds, found = asyncio.run(ask())
    assert seconds > 4 * limits.request_seconds
    assert [one.status_code for one in found] == [200] * 12


def test_a_text_that_takes_longer_than_a_request_may():
    """Once the pace of the run is known, it is waited for."""
    settings = Settings(page=False, limits=replace(Limits(), request_seconds=0.2))

    async def ask():
        async with client_of([Standin(pace=0.5)], settings) as client:
            while (await client.get("/readyz")).status_code != 200:
                await asyncio.sleep(0.05)
            return await client.post("/v1/predict", json={"text": "a"})

    assert asyncio.run(ask()).status_code == 200


# -- limits --------------------------------------------------------------------------------------------------------
class Stuck:
    def __init__(self):
        self.gate = threading.Event()

    def __call__(self, documents):
        assert self.gate.wait(10)
        return [{"head": Prediction(document.text, 1.0)} for document in documents]


def test_the_queue_is_one_for_all_and_nobody_is_shut_out():
    limits, stuck = replace(Limits(), queue=20, texts=4), Stuck()

    async def work():
        turns, (first, second) = batchers(limits, stuck, stuck)
        jobs = [asyncio.create_task(first.submit(texts(4))) for _ in range(4)]  # one text of them is predicted
        await asyncio.sleep(0.1)
        assert first.length == 15
        with pytest.raises(Problem) as refused:
            await first.submit(texts(2))
        jobs.append(asyncio.create_task(second.submit(texts(4))))
        await asyncio.sleep(0.05)
        assert (second.length, turns.waiting) == (4, 19)
        with pytest.raises(Problem):
            await second.submit(texts(4))
        stuck.gate.set()
        answers = await asyncio.gather(*jobs)
        assert (turns.waiting, first.idle, second.idle) == (0, True, True)
        await close(turns, (first, second))
        return refused.value, answers

    refused, answers = asyncio.run(work())
    assert refused.status == 503
    assert [len(reply.answers) for reply in answers] == [4] * 5


def test_a_request_of_any_size_fits_an_empty_service():
    limits = replace(Limits(), queue=8, texts=8)

    async def work():
        log = []
        turns, found = batchers(limits, *(Paced(0, log, str(i)) for i in range(5)))
        answers = [await batcher.submit(texts(8)) for batcher in found]
        await close(turns, found)
        return answers

    assert [len(reply.answers) for reply in asyncio.run(work())] == [8] * 5


def test_who_leaves_while_asking_for_a_turn_holds_up_nobody():
    async def work():
        limits, stuck = Limits(), Stuck()
        turns = Turns(limits)
        turns.start()
        shares = [turns.join(lambda: 0) for _ in range(3)]

        async def one(share):
            async with turns.turn(share):
                await turns.call(share, lambda: stuck([]), 0.0)

        jobs = [asyncio.create_task(one(share)) for share in shares]
        await asyncio.sleep(0.05)
        jobs[1].cancel()
        stuck.gate.set()
        found = await asyncio.wait_for(asyncio.gather(*jobs, return_exceptions=True), 5)
        await asyncio.wait_for(one(shares[1]), 5)
        turns.close()
        return [type(one) for one in found]

    assert asyncio.run(work()) == [type(None), asyncio.CancelledError, type(None)]
