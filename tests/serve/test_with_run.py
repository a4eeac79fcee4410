"""A real run behind the service: what it says over HTTP is what the model says."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from serving import client_of, served

import metier

TEXTS = ["A good day in Paris", "bad news from Rome", "", "\u0000 \u200b", "word " * 500, "\U0001f680 مرحبا 你好"]


@pytest.fixture(scope="module")
def model(toy_run):
    return metier.load(toy_run)


def test_what_is_served_is_what_the_model_says(model):
    async def scenario():
        async with client_of(model) as client:
            return await client.post("/v1/predict", json={"texts": TEXTS}), await client.get("/v1/run")

    found, about = asyncio.run(scenario())
    assert found.status_code == 200
    expected = model.predict(TEXTS)
    for said, own in zip(found.json()["predictions"], expected, strict=True):
        assert set(said) == set(own)
        for head, prediction in own.items():
            assert said[head]["label"] == prediction.label
            assert said[head]["score"] == pytest.approx(prediction.score, abs=1e-4)
            assert sum(said[head]["probabilities"].values()) == pytest.approx(1, abs=1e-3)
    assert about.json() == model.describe()
    assert found.json()["run"] == model.describe()["version"]


def test_answers_do_not_depend_on_company(model):
    """A text gets the same scores alone and in a batch with others."""

    async def scenario():
        async with client_of(model) as client:
            alone = [await client.post("/v1/predict", json={"text": text}) for text in TEXTS]
            together = await asyncio.gather(*(client.post("/v1/predict", json={"text": text}) for text in TEXTS))
            return alone, together

    for one, other in zip(*asyncio.run(scenario()), strict=True):
        one, other = (found.json()["predictions"][0] for found in (one, other))
        for head, said in one.items():
            assert other[head]["score"] == pytest.approx(said["score"], abs=1e-4)


PROGRAM = """
import sys
from metier.serve import Settings, serve
serve(sys.argv[1], Settings(port=0), announce=lambda url: print(url, flush=True))
"""


def test_a_folder_is_served(toy_run):
    with served(toy_run, program=("-c", PROGRAM), cwd=toy_run.parent) as one:
        found = httpx.post(f"{one.url}/v1/predict", json={"texts": TEXTS}, timeout=60)
        assert found.status_code == 200
        assert len(found.json()["predictions"]) == len(TEXTS)
        assert toy_run.name in httpx.get(one.url).text
        assert one.stop() == 0
        assert one.process.stderr.read() == ""
