"""What a client gets for a request that is right."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import numpy as np
import pytest
from serving import client_of
from standin import ABOUT, Standin

from metier.serve import Limits, Settings, schema
from metier.serve.schema import ManyTexts, OneText, answer, documents, plain
from metier.types import Prediction, Span


def run(coroutine):
    return asyncio.run(coroutine)


async def ask(body, **kw):
    async with client_of(**kw) as client:
        return await client.post("/v1/predict", json=body)


def test_many_texts_are_answered_in_order():
    found = run(ask({"texts": ["profit rose", {"text": "loss", "pair": "fell"}, ""]}))
    assert found.status_code == 200
    body = found.json()
    assert body["run"] == ABOUT["version"]
    assert [one["sentiment"]["label"] for one in body["predictions"]] == ["positive", "negative", "neutral"]
    assert list(body["predictions"][0]) == list(ABOUT["heads"])


def test_one_text():
    found = run(ask({"text": "Nokia profit rose"})).json()["predictions"][0]
    assert found["entities"]["label"] == [{"start": 0, "end": 5, "label": "COMPANY", "text": "Nokia", "score": 0.9}]
    assert found["topic"]["label"] == ["earnings"]
    assert sum(found["sentiment"]["probabilities"].values()) == pytest.approx(1)
    assert "probabilities" not in found["urgency"]


def test_what_is_asked_about():
    text = "Nokia beats, Oslo  Bank warns"
    body = {"texts": ["plain", {"text": text, "mentions": ["Oslo Bank", "nobody", {"start": 0, "end": 5}]}]}
    plainly, asked = documents(ManyTexts.model_validate(body), Limits())
    assert plainly.mentions is None and asked.mentions == ((0, 5), (13, 23))
    (none,) = documents(
        OneText.model_validate({"text": {"text": text, "mentions": [{"start": 9, "end": 99}]}}), Limits()
    )
    assert none.mentions == ()
    span = Span(0, 5, "up", "Nokia", 0.75, {"up": 0.75, "down": 0.25})
    assert answer(Prediction((span,), 0.75))["label"][0]["probabilities"] == {"up": 0.75, "down": 0.25}
    found = run(ask(body)).json()["predictions"]
    assert len(found) == 2
    wrong = run(ask({"text": {"text": text, "mentions": [{"start": -1, "end": 3}]}}))
    assert wrong.status_code == 422 and wrong.json()["errors"][0]["at"] == "text.mentions[0].start"


def test_names_are_looked_for_while_others_are_answered(monkeypatch):
    found = []

    async def both():
        async with client_of() as client:
            slow = asyncio.ensure_future(
                client.post("/v1/predict", json={"text": {"text": "Nokia", "mentions": ["Nokia"]}})
            )
            while not found:
                await asyncio.sleep(0.01)
            quick = await client.get("/healthz")
            goes_on.set()
            return quick, await slow

    def stretches(names, text):
        found.append(names)
        assert goes_on.wait(5), "nobody else was answered"
        return [(0, 5)]

    goes_on = threading.Event()
    monkeypatch.setattr(schema, "stretches", stretches)
    quick, slow = run(both())
    assert quick.status_code == slow.status_code == 200 and found == [["Nokia"]]


def test_only_the_heads_that_were_asked_for():
    found = run(ask({"text": "a", "heads": ["urgency", "sentiment"]})).json()
    assert list(found["predictions"][0]) == ["sentiment", "urgency"]


def test_text_outside_ascii_survives():
    found = run(ask({"text": "腾讯利润增长 \U0001f680"})).json()["predictions"][0]
    assert found["entities"]["label"][0]["text"] == "腾讯"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (float("nan"), None),
        (np.array([1.0, np.inf]), [1.0, None]),
        (("a", "b"), ["a", "b"]),
        ({"a": np.float64(1)}, {"a": 1.0}),
        (Span(0, 1, "X", "a"), {"start": 0, "end": 1, "label": "X", "text": "a", "score": 1.0}),
    ],
)
def test_every_kind_of_label_becomes_json(value, expected):
    assert plain(value) == expected


def test_a_prediction_without_probabilities_says_nothing_of_them():
    assert answer(Prediction(1.5, 0.5, True)) == {"label": 1.5, "score": 0.5, "abstain": True}


def test_the_run_describes_itself_and_is_ready():
    async def scenario():
        async with client_of() as client:
            await client.post("/v1/predict", json={"text": "a"})
            return [await client.get(path) for path in ("/v1/run", "/healthz", "/readyz", "/metrics")]

    about, alive, ready, metrics = run(scenario())
    assert about.json() == ABOUT
    assert (alive.json(), ready.json()) == ({"status": "ok"}, {"status": "ready"})
    assert 'metier_requests_total{method="POST",route="/v1/predict",status="200"} 1.0' in metrics.text
    for name in ("metier_request_seconds_bucket", "metier_batch_texts_sum", "metier_queue_texts 0", "metier_rejected"):
        assert name in metrics.text


def test_it_is_not_ready_before_the_model_is_warm():
    async def scenario():
        async with client_of(Standin(delay=0.3)) as client:
            before = await client.get("/readyz")
            await asyncio.sleep(0.5)
            return before, await client.get("/readyz")

    before, after = run(scenario())
    assert (before.status_code, after.status_code) == (503, 200)
    assert before.headers["retry-after"]


def test_the_documentation_asks_no_other_host():
    async def scenario():
        async with client_of() as client:
            page = await client.get("/docs")
            names = ("swagger-ui-bundle.js", "swagger-ui.css", "favicon.png", "nothing.js")
            return page, [await client.get(f"/docs/{name}") for name in names]

    page, assets = run(scenario())
    assert "http://" not in page.text
    assert "https://" not in page.text
    assert [one.status_code for one in assets] == [200, 200, 200, 404]


def test_the_openapi_document_holds_the_limits_of_this_service():
    limits = replace(Limits(), texts=3, characters=7)

    async def scenario():
        async with client_of(settings=Settings(page=False, limits=limits)) as client:
            return (await client.get("/openapi.json")).json()

    schemas = run(scenario())["components"]["schemas"]
    assert schemas["ManyTexts"]["properties"]["texts"]["maxItems"] == 3
    assert schemas["Pair"]["properties"]["text"]["maxLength"] == 7
    assert "sentiment" in str(schemas["OneText"]["properties"]["heads"])
    assert "HTTPValidationError" not in schemas
