"""What a client gets for a request that is wrong: always a problem document, never a traceback."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import pytest
from serving import client_of

from metier.errors import RecipeError
from metier.serve import Limits, Settings
from metier.serve.body import nesting
from metier.serve.keys import KeyRing
from metier.serve.problems import place

JSON = {"content-type": "application/json"}
SMALL = replace(Limits(), body_bytes=2_000, texts=3, characters=50, body_seconds=0.3)


def run(coroutine):
    return asyncio.run(coroutine)


async def send(method="POST", path="/v1/predict", settings=None, **kw):
    async with client_of(settings=settings or Settings(page=False, limits=SMALL)) as client:
        return await client.request(method, path, **kw)


def is_problem(found, status):
    assert found.status_code == status, found.text
    assert found.headers["content-type"] == "application/problem+json"
    assert found.headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in found.headers["content-security-policy"]
    document = found.json()
    assert document["status"] == status
    assert document["title"]
    assert document["detail"]
    assert "Traceback" not in found.text
    return document


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nonsense",
        b'{"text": "a"} x',
        b'{"text": NaN}',
        b'{"text": 1' + b"0" * 1500 + b"." + b"}",
        b'{"text": "\xff\xfe"}',
        '{"text": "a"}'.encode("utf-16"),
        b'{"text": ' + b"[" * 9 + b"]" * 9 + b"}",
        b"[" * 2_000,
        b'{"text": "\\ud800"}',
        b'{"\\udfff": 1}',
    ],
)
def test_what_is_not_json(body):
    is_problem(run(send(content=body, headers=JSON)), 400)


@pytest.mark.parametrize(
    ("body", "at"),
    [
        (None, "body"),
        ([], "body"),
        ("text", "body"),
        ({}, "text"),
        ({"text": 3}, "text"),
        ({"text": None}, "text"),
        ({"text": ["a"]}, "text"),
        ({"text": "a", "texts": ["a"]}, "text"),
        ({"texts": "a"}, "texts"),
        ({"texts": []}, "texts"),
        ({"texts": ["a", 1]}, "texts[1]"),
        ({"texts": [{"pair": "a"}]}, "texts[0].text"),
        ({"texts": [{"text": "a", "pear": "b"}]}, "texts[0].pear"),
        ({"text": "a", "heads": "sentiment"}, "heads"),
        ({"text": "a", "heads": []}, "heads"),
        ({"text": "a", "extra": 1}, "extra"),
        ({"texts": ["a" * 51, "b"]}, "texts[0]"),
    ],
)
def test_json_that_is_no_request(body, at):
    found = is_problem(run(send(content=json.dumps(body).encode(), headers=JSON)), 422)
    assert at in [error["at"] for error in found["errors"]]


def test_too_many_texts_and_an_unknown_head():
    assert "may hold 3" in is_problem(run(send(json={"texts": ["a"] * 4})), 422)["detail"]
    found = is_problem(run(send(json={"text": "a", "heads": ["sentimant"]})), 422)
    assert "Did you mean 'sentiment'" in found["detail"]


@pytest.mark.parametrize(
    "kind", [{}, {"content-type": "text/plain"}, {"content-type": "application/x-www-form-urlencoded"}]
)
def test_another_media_type(kind):
    is_problem(run(send(content=b'{"text": "a"}', headers=kind)), 415)


def test_a_whole_surrogate_pair_is_a_character():
    assert run(send(content=b'{"text": "\\ud83d\\ude80"}', headers=JSON)).status_code == 200


def test_a_charset_in_the_media_type_is_fine():
    kind = {"content-type": "Application/JSON; charset=utf-8"}
    assert run(send(content=b'{"text": "a"}', headers=kind)).status_code == 200


def test_a_body_that_is_announced_too_large_is_not_read():
    read = []

    async def endless():
        while True:
            read.append(1)
            yield b"a" * 1_000

    headers = JSON | {"content-length": "1000000", "expect": "100-continue"}
    is_problem(run(send(content=endless(), headers=headers)), 413)
    assert len(read) <= 1


def test_a_body_of_unknown_length_is_cut_off():
    async def chunks():
        for _ in range(1_000_000):
            yield b" " * 500

    found = run(send(content=chunks(), headers=JSON))
    is_problem(found, 413)
    assert found.headers["connection"] == "close"


def test_a_body_that_comes_too_slowly():
    async def slow():
        yield b'{"text": '
        await asyncio.sleep(5)
        yield b'"a"}'

    is_problem(run(send(content=slow(), headers=JSON)), 408)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("GET", "/v1/nothing", 404),
        ("GET", "/docs/../secret", 404),
        ("GET", "/v1/predict", 405),
        ("POST", "/v1/run", 405),
        ("DELETE", "/healthz", 405),
    ],
)
def test_addresses_and_methods(method, path, status):
    found = run(send(method, path))
    is_problem(found, status)
    assert status != 405 or found.headers["allow"]


def test_a_fault_of_ours_says_nothing_of_itself(caplog):
    found = is_problem(run(send(json={"text": "EXPLODE"})), 500)
    assert "secret" not in str(found)
    assert "secret detail" in caplog.text, "the log has what the client has not"


def test_a_mistake_that_the_model_names():
    assert "<e1>" in is_problem(run(send(json={"text": "REFUSE"})), 422)["detail"]


# -- keys ----------------------------------------------------------------------------------------------------------
@pytest.fixture
def keyed(tmp_path):
    path = tmp_path / "keys"
    path.write_text("# ours\nfirst-key\n\n  second-key  # of the other team\n")
    return Settings(page=False, api_key_file=path, limits=SMALL)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 401),
        ({"x-api-key": "wrong"}, 401),
        ({"x-api-key": ""}, 401),
        ({"x-api-key": "# ours"}, 401),
        ({"authorization": "Basic Zmlyc3Qta2V5"}, 401),
        ({"authorization": "Bearer wrong", "x-api-key": "first-key"}, 401),
        ({"x-api-key": b"\xff\xff"}, 401),
        ({"x-api-key": "first-key"}, 200),
        ({"authorization": "Bearer second-key"}, 200),
        ({"authorization": "bearer first-key"}, 200),
    ],
)
def test_keys_open_the_service(keyed, headers, status):
    found = run(send(settings=keyed, json={"text": "a"}, headers=headers))
    assert found.status_code == status
    if status == 401:
        is_problem(found, 401)
        assert found.headers["www-authenticate"].startswith("Bearer")


def test_what_stays_open_with_keys(keyed):
    async def scenario():
        async with client_of(settings=keyed) as client:
            open_ = [(await client.get(path)).status_code for path in ("/healthz", "/docs", "/openapi.json")]
            shut = [(await client.get(path)).status_code for path in ("/v1/run", "/metrics", "/v1/nothing")]
            return open_, shut, (await client.get("/openapi.json")).json()

    open_, shut, document = run(scenario())
    assert (open_, shut) == ([200] * 3, [401] * 3)
    assert document["paths"]["/v1/predict"]["post"]["security"] == [{"bearer": []}, {"header": []}]
    assert "security" not in document["paths"]["/healthz"]["get"]


def test_a_key_is_asked_for_before_the_body_is_read(keyed):
    is_problem(run(send(settings=keyed, content=b" " * 10_000, headers=JSON)), 401)


@pytest.mark.parametrize("content", [b"", b"# nothing\n\n", b"\xff\xfe\xff"])
def test_a_key_file_without_keys(tmp_path, content):
    path = tmp_path / "keys"
    path.write_bytes(content)
    with pytest.raises(RecipeError, match="key file"):
        KeyRing.read(path)
    with pytest.raises(RecipeError, match="cannot be read"):
        KeyRing.read(tmp_path / "missing")


def test_every_key_is_compared(monkeypatch):
    ring, compared = KeyRing(["a", "b", "c"]), []
    monkeypatch.setattr("metier.serve.keys.hmac.compare_digest", lambda one, other: compared.append(1) or one == other)
    assert ring.opens(b"a")
    assert len(compared) == 3
    assert b"a" not in vars(ring).values()


# -- hosts and addresses -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost", 200),
        ("127.0.0.1:8000", 200),
        ("[::1]:8000", 200),
        ("LOCALHOST:1", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("evil.example@localhost:x", 421),
        ("", 421),
        ("[", 421),
    ],
)
def test_loopback_answers_for_loopback_names_only(host, status):
    found = run(send("GET", "/healthz", headers={"host": host}))
    assert found.status_code == status
    assert status == 200 or is_problem(found, status)


def test_named_hosts():
    found = run(
        send("GET", "/healthz", Settings(page=False, allowed_hosts=("nlp.example",)), headers={"host": "NLP.example"})
    )
    assert found.status_code == 200
    public = Settings(page=False, host="0.0.0.0", insecure=True)
    assert run(send("GET", "/healthz", public, headers={"host": "any.example"})).status_code == 200
    picky = replace(public, allowed_hosts=("nlp.example",))
    assert run(send("GET", "/healthz", picky, headers={"host": "any.example"})).status_code == 421


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.7", "nlp.example"])
def test_a_public_address_needs_keys(host, tmp_path):
    with pytest.raises(RecipeError, match="api-key-file"):
        Settings(host=host)
    Settings(host=host, insecure=True)
    Settings(host=host, api_key_file=tmp_path / "keys")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.8.8.8", "::1"])
def test_loopback_needs_none(host):
    assert Settings(host=host).known_hosts() >= {"localhost", "127.0.0.1"}


def test_settings_that_cannot_be():
    with pytest.raises(RecipeError, match="Port"):
        Settings(port=70_000)
    with pytest.raises(RecipeError, match="queue is 0"):
        Limits(queue=0)
    with pytest.raises(RecipeError, match="can wait"):
        Limits(texts=20, queue=10)


# -- small parts ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("location", "said"),
    [
        (("body",), "body"),
        (("body", "OneText", "text", "Text"), "text"),
        (("body", "ManyTexts", "texts", 3, "Pair", "pair"), "texts[3].pair"),
    ],
)
def test_places(location, said):
    assert place(location) == said


@pytest.mark.parametrize(("value", "depth"), [(1, 0), ([], 1), ({"a": [1, {"b": []}]}, 4), ([[], [[]]], 3)])
def test_nesting(value, depth):
    assert nesting(value, 8) == depth
