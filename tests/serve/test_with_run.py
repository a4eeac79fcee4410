"""A real run behind the service: what it says over HTTP is what the model says."""

from __future__ import annotations

import asyncio
import gc
import json
import shutil
import threading
from dataclasses import replace

import httpx
import pytest
from commands import refused
from serving import client_of, served

import metier
from metier.errors import RunError
from metier.serve import Limits, Settings
from metier.serve.source import Folder

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


@pytest.fixture(scope="module")
def other_run(tmp_path_factory, toy_backbone, toy_news):
    out = tmp_path_factory.mktemp("other") / "places"
    settings = {"backbone": str(toy_backbone), "method": "probe", "max_length": 32}
    return metier.train(toy_news, label="place", out=out, **settings).run


def test_two_runs_answer_together_as_each_alone(model, other_run):
    other = metier.load(other_run)

    async def scenario():
        async with client_of([model, other]) as client:
            addresses = ["/v1/predict", "/v1/runs/places/predict"] * 4
            return await asyncio.gather(*(client.post(address, json={"texts": TEXTS}) for address in addresses))

    for number, found in enumerate(asyncio.run(scenario())):
        one = (model, other)[number % 2]
        assert found.json()["run"] == one.describe()["version"]
        for said, own in zip(found.json()["predictions"], one.predict(TEXTS), strict=True):
            assert {head: answer["label"] for head, answer in said.items()} == {
                head: prediction.label for head, prediction in own.items()
            }
            assert all(said[head]["score"] == pytest.approx(own[head].score, abs=1e-4) for head in own)


def adapted(out, backbone, news, label, method):
    """A run of a method that saves its adapter alone."""
    settings = {"backbone": str(backbone), "method": method, "epochs": 2, "learning_rate": 3e-3, "max_length": 32}
    return metier.train(news, label=label, out=out, **settings).run


def alone(run):
    """What a run says while no other is loaded."""
    gc.collect()
    return metier.load(run).predict(TEXTS)


def held(model):
    """Bytes of the weights of a model, by where they lie in memory."""
    network = model.runtime.network
    storages = [tensor.untyped_storage() for tensor in (*network.parameters(), *network.buffers())]
    return {storage.data_ptr(): storage.nbytes() for storage in storages}


@pytest.mark.parametrize("methods", [("lora", "lora"), ("lora", "adapter"), ("prefix", "lora")])
def test_adapters_share_their_backbone(tmp_path, toy_backbone, toy_news, methods):
    """Two runs over one backbone answer together as each alone; the second adds its adapter and heads to memory."""
    labels = ("sentiment", "place")
    runs = [
        adapted(tmp_path / label, toy_backbone, toy_news, label, method)
        for label, method in zip(labels, methods, strict=True)
    ]
    expected = [alone(run) for run in runs]
    models = [metier.load(run) for run in runs]
    first, second = map(held, models)
    grown = sum(size for place, size in second.items() if place not in first)
    assert grown <= (runs[1] / "adapter.safetensors").stat().st_size < sum(first.values()) / 2

    async def scenario():
        async with client_of(models) as client:
            addresses = [f"/v1/runs/{label}/predict" for label in labels] * 4
            return await asyncio.gather(*(client.post(address, json={"texts": TEXTS}) for address in addresses))

    for number, found in enumerate(asyncio.run(scenario())):
        head = labels[number % 2]
        for said, own in zip(found.json()["predictions"], expected[number % 2], strict=True):
            assert said[head]["label"] == own[head].label
            assert said[head]["score"] == pytest.approx(own[head].score, abs=1e-4)


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


def test_the_command_serves_many(toy_run, other_run):
    command = ("-m", "metier.cli", "serve", toy_run, other_run, "--port", "0", "--json")
    with served(program=command, announced=lambda line: json.loads(line)["address"]) as one:
        listed = httpx.get(f"{one.url}/v1/runs", timeout=60).json()
        assert [run["name"] for run in listed["runs"]] == [toy_run.name, "places"]
        found = httpx.post(f"{one.url}/v1/runs/places/predict", json={"texts": TEXTS}, timeout=60)
        assert [list(answer) for answer in found.json()["predictions"]] == [["place"]] * len(TEXTS)
        assert one.stop() == 0
        assert one.process.stderr.read() == ""


# -- folders -------------------------------------------------------------------------------------------------------
def put_in_place(place, run):
    """Puts a run in the place of another, as `metier train` does: two renames."""
    new, old = place.with_name("new"), place.with_name(f"{place.name}.replaced")
    shutil.copytree(run, new)
    place.rename(old)
    new.rename(place)
    shutil.rmtree(old)


def test_a_folder_says_what_its_model_says(model, toy_run):
    folder = Folder(toy_run)
    assert folder.describe() == model.describe() and folder.name == toy_run.name
    assert folder.weight() > 1_000 and folder.stamp() == Folder(toy_run).stamp()
    with pytest.raises(RunError, match="There is no run"):
        Folder(toy_run.with_name("nothing")).load()


def test_a_folder_that_is_just_being_replaced_is_waited_for(tmp_path, toy_run):
    """To open a run that is not there would undo the replacement, which is how an interrupted one is mended."""
    place, beside = tmp_path / "news", tmp_path / "news.replaced"
    shutil.copytree(toy_run, beside)
    shutil.copytree(toy_run, tmp_path / "new")
    timer = threading.Timer(0.1, lambda: (tmp_path / "new").rename(place))
    timer.start()
    assert Folder(place).describe()["name"] == "news"
    timer.join()
    assert beside.is_dir() and place.is_dir()


def test_a_run_is_replaced_while_it_is_served(tmp_path, toy_run, other_run, caplog):
    place = tmp_path / "news"
    shutil.copytree(toy_run, place)
    versions = [metier.load(run).describe()["version"] for run in (toy_run, other_run)]

    async def scenario():
        seen = []
        patient = Settings(page=False, look_seconds=0.05, limits=replace(Limits(), wait_seconds=60.0))
        async with client_of(Folder(place, threads=1), patient) as client:

            async def asking():
                while len(seen) < 2_000 and versions[1] not in seen:
                    found = await client.post("/v1/predict", json={"texts": TEXTS})
                    assert found.status_code == 200, found.text
                    assert len({tuple(one) for one in found.json()["predictions"]}) == 1
                    seen.append(found.json()["run"])

            clients = [asyncio.create_task(asking()) for _ in range(8)]
            while len(seen) < 20:
                await asyncio.sleep(0.01)
            put_in_place(place, other_run)
            await asyncio.gather(*clients)
            weights = place / "model.safetensors"
            content = bytearray(weights.read_bytes())
            content[-1] ^= 1
            weights.write_bytes(content)
            (place / "manifest.json").write_bytes((place / "manifest.json").read_bytes())
            broken = await client.post("/v1/runs/news/reload")
            shutil.rmtree(place)
            gone = await client.post("/v1/runs/news/reload")
            last = await client.post("/v1/predict", json={"texts": TEXTS})
            return seen, broken, gone, last

    seen, broken, gone, last = asyncio.run(scenario())
    assert list(dict.fromkeys(seen)) == versions
    assert (broken.status_code, gone.status_code, last.json()["run"]) == (409, 409, versions[1])
    assert "model.safetensors has changed since it was saved" in caplog.text and "is gone" in caplog.text


def test_the_command_keeps_to_a_memory_limit(toy_run, other_run):
    command = ("-m", "metier.cli", "serve", toy_run, other_run, "--port", "0", "--json", "--memory", "4GB")
    with served(program=command, announced=lambda line: json.loads(line)["address"]) as one:
        before = httpx.get(f"{one.url}/v1/runs", timeout=60).json()
        assert [run["loaded"] for run in before["runs"]] == [True, False] and before["memory"]["limit"] == 4 << 30
        found = httpx.post(f"{one.url}/v1/runs/places/predict", json={"texts": TEXTS}, timeout=60)
        assert [list(answer) for answer in found.json()["predictions"]] == [["place"]] * len(TEXTS)
        after = httpx.get(f"{one.url}/v1/runs", timeout=60).json()
        assert [run["loaded"] for run in after["runs"]] == [True, True]
        assert one.stop() == 0
        assert one.process.stderr.read() == ""


def test_a_limit_that_the_run_does_not_fit_in(toy_run):
    line = refused("serve", toy_run, "--port", "0", "--memory", "1MB")
    assert f"The run {toy_run.name} needs" in line and "the limit is 1 MB" in line and "Try: --memory" in line
    assert "no amount of memory" in refused("serve", toy_run, "--memory", "much")
