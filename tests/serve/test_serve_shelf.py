"""Several runs under a memory limit, and runs that are replaced while they are asked."""

from __future__ import annotations

import asyncio
import gc
import logging
import weakref
from dataclasses import replace

import httpx
import numpy as np
import pytest
from folders import HEAP, MB, Cupboard
from serving import client_of

from metier.errors import RecipeError
from metier.serve import Limits, Settings, create_app
from metier.serve.settings import memory_size
from metier.serve.shelf import Memory, resident, tidy


@pytest.fixture(autouse=True)
def empty_heap():
    HEAP.clear()


def limited(size):
    return Memory(size * MB, HEAP.used, gc.collect)


def settings(**kw):
    return Settings(page=False, **({"look_seconds": 60.0} | kw))


async def ask(client, name, **body):
    return await client.post(f"/v1/runs/{name}/predict", json={"text": "a"} | body)


def said(answer):
    assert answer.status_code == 200, answer.text
    found = answer.json()
    labels = {prediction["said"]["label"] for prediction in found["predictions"]}
    assert labels == {found["run"]}, "one model answers all texts of a request, and it is the one that is named"
    return found["run"]


async def warmed(client):
    """Once nobody but the test asks any more."""
    await client.service.default._warming


def loaded(client):
    return [name for name, run in client.service.runs.items() if run.loaded]


# -- memory --------------------------------------------------------------------------------------------------------
def test_runs_are_loaded_when_they_are_asked_and_let_go_for_others():
    cupboards = [Cupboard(name) for name in "abc"]

    async def scenario():
        async with client_of(cupboards, settings(), limited(260)) as client:
            await warmed(client)
            seen = [loaded(client)]
            for name in "bcbac":
                said(await ask(client, name))
                seen.append(loaded(client))
            listed = (await client.get("/v1/runs")).json()
            ready = await client.get("/readyz")
            return seen, listed, ready.status_code, (await client.get("/metrics")).text

    seen, listed, ready, metrics = asyncio.run(scenario())
    assert [set(names) for names in seen] == [{"a"}, {"a", "b"}, {"b", "c"}, {"b", "c"}, {"a", "b"}, {"a", "c"}]
    assert HEAP.most <= 260 * MB and ready == 200
    assert [(run["name"], run["loaded"], run["memory"]) for run in listed["runs"]] == [
        ("a", True, 100 * MB), ("b", False, None), ("c", True, 100 * MB)
    ]  # fmt: skip
    assert listed["memory"] == {"used": 250 * MB, "limit": 260 * MB}
    assert 'metier_run_memory_bytes{run="c"} 1.048576e+08' in metrics


def test_a_run_that_is_asked_is_not_let_go():
    cupboards = [Cupboard("a", pace=0.05), Cupboard("b")]

    async def scenario():
        async with client_of(cupboards, settings(), limited(200)) as client:
            long = asyncio.create_task(ask(client, "a", **{"texts": ["t"] * 10, "text": None}))
            await asyncio.sleep(0)
            long.cancel()
            await asyncio.gather(long, return_exceptions=True)
            body = {"texts": ["t"] * 10}
            long = asyncio.create_task(client.post("/v1/runs/a/predict", json=body))
            await asyncio.sleep(0.1)
            other = asyncio.create_task(ask(client, "b"))
            await asyncio.sleep(0.1)
            held = loaded(client), long.done()
            return held, said(await long), said(await other), loaded(client)

    held, first, second, after = asyncio.run(scenario())
    assert held == (["a"], False)
    assert (first, second, after) == ("1", "1", ["b"])
    assert HEAP.most <= 200 * MB


def test_many_who_ask_for_a_run_that_is_not_loaded_load_it_once():
    cupboards = [Cupboard("a"), Cupboard("b")]
    cupboards[1].slow = 0.1

    async def scenario():
        async with client_of(cupboards, settings(), limited(1000)) as client:
            jobs = [asyncio.create_task(ask(client, "b")) for _ in range(20)]
            await asyncio.sleep(0.05)
            waiting = (await client.get("/metrics")).text
            jobs[0].cancel()  # who hangs up stops nothing
            found = await asyncio.gather(*jobs, return_exceptions=True)
            return waiting, [said(one) for one in found[1:]]

    waiting, found = asyncio.run(scenario())
    assert 'metier_run_queue_texts{run="b"} 20.0' in waiting
    assert found == ["1"] * 19 and cupboards[1].loads == 1


def test_nobody_waits_for_ever_for_a_run_that_loads_slowly():
    cupboards = [Cupboard("a"), Cupboard("b")]
    cupboards[1].slow = 1.0

    async def scenario():
        limits = replace(Limits(), request_seconds=0.2)
        async with client_of(cupboards, settings(limits=limits), limited(1000)) as client:
            await warmed(client)
            told = await asyncio.wait_for(ask(client, "b"), 0.8)
            while not client.service.runs["b"].loaded:
                await asyncio.sleep(0.02)
            return told, said(await ask(client, "b"))

    told, later = asyncio.run(scenario())
    assert told.status_code == 503 and "still being loaded" in told.json()["detail"] and "retry-after" in told.headers
    assert later == "1" and cupboards[1].loads == 1


def test_a_limit_that_no_run_fits_in():
    with pytest.raises(RecipeError, match=r"The run a needs 150 MB, the limit is 100 MB\..*--memory 188MB"):
        create_app([Cupboard("a")], settings(), limited(100))
    HEAP.clear()
    with pytest.raises(RecipeError, match="The run b needs 500 MB"):
        create_app([Cupboard("a"), Cupboard("b", size=500 * MB)], settings(), limited(300))


def test_a_run_that_turns_out_too_large(caplog):
    cupboards = [Cupboard("a"), Cupboard("b")]
    cupboards[1].weight = lambda: 1

    async def scenario():
        async with client_of(cupboards, settings(), limited(400)) as client:
            cupboards[1].size = 500 * MB
            first, second = await ask(client, "b"), await ask(client, "b")
            return first, second, said(await ask(client, "a"))

    first, second, other = asyncio.run(scenario())
    assert (first.status_code, second.status_code, other) == (503, 503, "1")
    assert cupboards[1].loads == 1, "it is not tried again at once"
    assert int(first.headers["retry-after"]) >= 1 and "the limit of 400 MB does not allow" in caplog.text


def test_what_a_run_takes_is_measured_when_it_is_loaded():
    class Large(Cupboard):
        def load(self):
            model = super().load()
            model.weights = np.ones(12 * MB)  # of 8 bytes
            return model

    async def scenario():
        async with client_of([Cupboard("a"), Large("b")], settings(), Memory(resident() + 2**30)) as client:
            before = resident()
            said(await ask(client, "b"))
            grown, memory = resident() - before, client.service.runs["b"].edition.memory
            client.service.runs["b"].let_go()
            tidy()
            return grown, memory, resident() - before

    grown, memory, left = asyncio.run(scenario())
    assert 90 * MB < memory < 140 * MB and grown > 90 * MB
    assert left < 20 * MB, "it is given back"


def test_amounts_of_memory():
    assert [memory_size(text) for text in ("2GB", "512 mb", "1.5GiB", "1000")] == [2**31, 2**29, 3 * 2**29, 1000]
    for wrong in ("", "lots", "-1GB", "0", "2 XB"):
        with pytest.raises(RecipeError, match="no amount of memory"):
            memory_size(wrong)


# -- replacement ---------------------------------------------------------------------------------------------------
def test_a_replaced_folder_takes_over_without_a_lost_request():
    """Two hundred requests of many texts are under way: each is answered, by one model."""
    cupboard, patient = Cupboard("a", pace=0.0003), replace(Limits(), wait_seconds=30.0, queue=10_000)

    async def scenario():
        async with client_of([cupboard], settings(look_seconds=0.05, limits=patient)) as client:
            await warmed(client)
            old = weakref.ref(client.service.default.edition)
            bodies = [{"texts": ["t"] * (1 + i % 40)} for i in range(200)]
            jobs = [asyncio.create_task(client.post("/v1/predict", json=body)) for body in bodies]
            while sum(job.done() for job in jobs) < 20:
                await asyncio.sleep(0.005)
            cupboard.version = "2"
            found = [said(one) for one in await asyncio.gather(*jobs)]
            for _ in range(100):
                if client.service.default.version == "2":
                    break
                await asyncio.sleep(0.02)
            last = said(await ask(client, "a"))
            await asyncio.sleep(0.1)
            gc.collect()
            return found, last, old(), (await client.get("/v1/run")).json()["version"]

    found, last, old, version = asyncio.run(scenario())
    assert set(found) == {"1", "2"}, "some were answered before, some after"
    assert (last, version) == ("2", "2") and old is None, "the old model is let go"


def test_a_request_that_was_begun_is_finished_by_the_model_that_began_it():
    cupboard = Cupboard("a", pace=0.01)

    async def scenario():
        async with client_of([cupboard], settings()) as client:
            await warmed(client)
            long = asyncio.create_task(client.post("/v1/predict", json={"texts": ["t"] * 100}))
            await asyncio.sleep(0.2)
            cupboard.version = "2"
            reloaded = await client.post("/v1/runs/a/reload")
            short = asyncio.create_task(ask(client, "a"))
            return reloaded.json(), long.done(), said(await long), said(await short)

    reloaded, early, long, short = asyncio.run(scenario())
    assert reloaded == {"name": "a", "version": "2", "replaced": True}
    assert (early, long, short) == (False, "1", "2")


@pytest.mark.parametrize("times", [4, pytest.param(200, marks=[pytest.mark.soak, pytest.mark.timeout(900)])])
def test_a_run_that_is_replaced_again_and_again(times):
    """Under load, each time: nobody is lost, versions follow each other, and no old model stays."""
    cupboard, patient = Cupboard("a", "000", pace=0.001), replace(Limits(), wait_seconds=30.0)

    async def scenario():
        seen, done = [], asyncio.Event()
        async with client_of([cupboard], settings(limits=patient)) as client:

            async def asking(texts):
                own = []
                while not done.is_set():
                    own.append(said(await client.post("/v1/predict", json={"texts": ["t"] * texts})))
                seen.append(own)

            clients = [asyncio.create_task(asking(texts)) for texts in (1, 1, 7, 50)]
            for version in range(1, times + 1):
                await asyncio.sleep(0.05)
                cupboard.version = f"{version:03d}"
                assert (await client.post("/v1/runs/a/reload")).json()["replaced"]
            done.set()
            await asyncio.gather(*clients)
            last = said(await ask(client, "a"))
            gc.collect()
            return seen, last, len(HEAP.models)

    seen, last, alive = asyncio.run(scenario())
    assert all(own == sorted(own) for own in seen) and last == f"{times:03d}" and alive == 1


@pytest.mark.parametrize("broken", ["files", "weights"])
def test_a_broken_folder_is_refused_once_and_the_old_run_goes_on(broken, caplog):
    cupboard = Cupboard("a")
    caplog.set_level(logging.INFO, "metier")

    async def scenario():
        async with client_of([cupboard], settings(look_seconds=0.02)) as client:
            said(await ask(client, "a"))
            cupboard.version, cupboard.broken = "2", broken
            await asyncio.sleep(0.2)
            meanwhile = said(await ask(client, "a"))
            reload = await client.post("/v1/runs/a/reload")
            cupboard.broken = False
            await asyncio.sleep(0.2)
            return meanwhile, reload, said(await ask(client, "a")), (await client.get("/metrics")).text

    meanwhile, reload, after, metrics = asyncio.run(scenario())
    assert (meanwhile, reload.status_code, after) == ("1", 409, "2")
    assert "version 1 goes on" in reload.json()["detail"] and "/secret" not in reload.text
    lines = [line for line in caplog.messages if "is refused" in line]
    assert len(lines) == 2, "once when it was seen, once when it was asked for; not at every look"
    assert 'metier_run_replacements_total{outcome="replaced",run="a"} 1.0' in metrics


def test_a_folder_that_vanishes(caplog):
    cupboards = [Cupboard("a"), Cupboard("b")]

    async def scenario():
        async with client_of(cupboards, settings(look_seconds=0.02), limited(1000)) as client:
            cupboards[0].version = cupboards[1].version = None
            await asyncio.sleep(0.2)
            loaded, unloaded = await ask(client, "a"), await ask(client, "b")
            cupboards[0].version = "1"
            await asyncio.sleep(0.1)
            return loaded, unloaded, await client.post("/v1/runs/b/reload"), said(await ask(client, "a"))

    held, unloaded, reload, back = asyncio.run(scenario())
    assert said(held) == "1" and (unloaded.status_code, reload.status_code, back) == (503, 409, "1")
    assert "/secret" not in unloaded.text + reload.text
    assert len([line for line in caplog.messages if "is gone" in line]) == 2


def test_a_replaced_run_that_is_not_loaded_is_loaded_when_it_is_asked():
    cupboards = [Cupboard("a"), Cupboard("b")]

    async def scenario():
        async with client_of(cupboards, settings(), limited(1000)) as client:
            cupboards[1].version = "2"
            reload = (await client.post("/v1/runs/b/reload")).json()
            listed = (await client.get("/v1/runs")).json()["runs"][1]
            return reload, (listed["version"], listed["loaded"]), said(await ask(client, "b"))

    assert asyncio.run(scenario()) == ({"name": "b", "version": "2", "replaced": True}, ("2", False), "2")
    assert cupboards[1].loads == 1


def test_without_room_for_two_an_idle_run_is_let_go_first():
    cupboard = Cupboard("a")

    async def scenario():
        async with client_of([cupboard], settings(), limited(200)) as client:
            said(await ask(client, "a"))
            await asyncio.sleep(0.05)
            cupboard.version = "2"
            reload = (await client.post("/v1/runs/a/reload")).json()["version"]
            return reload, said(await ask(client, "a"))

    assert asyncio.run(scenario()) == ("2", "2")


def test_other_heads_after_a_replacement():
    cupboard = Cupboard("a", pace=0.02)

    async def scenario():
        async with client_of([cupboard], settings()) as client:
            await warmed(client)
            long = asyncio.create_task(client.post("/v1/predict", json={"texts": ["t"] * 20}))
            await asyncio.sleep(0.05)
            late = asyncio.create_task(ask(client, "a", heads=["said"]))
            await asyncio.sleep(0.02)
            cupboard.version, cupboard.heads = "2", {"other": {"task": "classify"}}
            await client.post("/v1/runs/a/reload")
            document = (await client.get("/openapi.json")).json()
            return said(await long), await late, document

    long, late, document = asyncio.run(scenario())
    assert long == "1"
    assert late.status_code == 422 and "It has: other." in late.json()["detail"]
    assert document["components"]["schemas"]["OneText"]["properties"]["heads"]["anyOf"][0]["items"]["enum"] == ["other"]


def test_keys_guard_the_reload(tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("a-key")

    async def scenario():
        async with client_of([Cupboard("a")], settings(api_key_file=keys)) as client:
            path = "/v1/runs/a/reload"
            return [await client.post(path), await client.post(path, headers={"X-API-Key": "a-key"})]

    assert [one.status_code for one in asyncio.run(scenario())] == [401, 200]


def test_what_was_loaded_by_the_caller_has_no_folder():
    async def scenario():
        async with client_of() as client:
            return await client.post(f"/v1/runs/{client.service.default.name}/reload")

    found = asyncio.run(scenario())
    assert found.status_code == 409 and isinstance(found, httpx.Response)
