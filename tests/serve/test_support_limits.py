"""How much is taken of whom, from which sites, and what happens when too much comes at once."""

from __future__ import annotations

import asyncio
import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from supported import running

from metier.serve.problems import Problem
from metier.serve.settings import Limits
from metier.serve.support.hub import RELOAD, STOP, Hub
from metier.serve.support.rates import Rates, network

HOME, EVIL = "https://www.example.com", "https://evil.example"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with running(
        tmp_path_factory.mktemp("limits"), pace={"threads": 1, "waiting": 1},
        service={"per_minute": 5, "opened_per_hour": 8, "origins": [HOME]},
    ) as made:  # fmt: skip
        yield made


def test_one_visitor_is_told_when_to_write_again_and_others_may(site):
    ann, bob = site.customer(), site.customer()
    found = [ann.say("hello") for _ in range(9)]
    assert [one.status_code for one in found[:5]] == [200] * 5
    refused = next(one for one in found if one.status_code == 429)
    assert 1 <= int(refused.headers["retry-after"]) <= 13
    assert refused.headers["content-type"] == "application/problem+json"
    assert bob.say("hello").status_code == 200
    kept = [one for one in ann.messages()["messages"] if one["author"] == "visitor"]
    assert len(kept) == [one.status_code for one in found].count(200)


def test_another_site_may_ask_where_it_is_on_the_list(site):
    ask = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    path = "/v1/chat/conversations"
    good = site.client().options(path, headers=ask | {"Origin": HOME})
    assert good.status_code == 204 and good.headers["access-control-allow-origin"] == HOME
    assert "authorization" in good.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in good.headers
    for origin in (EVIL, "https://www.example.com.evil.example", "http://www.example.com", "null"):
        bad = site.client().options(path, headers=ask | {"Origin": origin})
        assert bad.status_code == 403 and "access-control-allow-origin" not in bad.headers
        assert site.client().post(path, json={}, headers={"Origin": origin}).status_code == 403
    made = site.client().post(path, json={}, headers={"Origin": HOME})
    assert made.status_code == 201 and made.headers["access-control-allow-origin"] == HOME
    wrong = site.client().get(f"{path}/none", headers={"Origin": HOME})
    assert wrong.status_code == 401 and wrong.headers["access-control-allow-origin"] == HOME, "a page may read why"
    desk = site.client("ann").get("/v1/desk/queue", headers={"Origin": HOME})
    assert "access-control-allow-origin" not in desk.headers
    script = site.client().get("/widget.js")
    assert script.headers["cross-origin-resource-policy"] == "cross-origin" and "customElements" in script.text


def test_too_many_at_once_are_refused_before_they_are_kept(site):
    ann = site.customer()
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda number: ann.say("Please answer slowly", f"m-{number}"), range(4)))
    statuses = sorted(one.status_code for one in found)
    assert statuses[0] == 200 and 503 in statuses
    assert all(one.headers["retry-after"] for one in found if one.status_code == 503)
    kept = {one["id"] for one in ann.messages()["messages"] if one["author"] == "visitor"}
    assert kept == {f"m-{number}" for number, one in enumerate(found) if one.status_code == 200}


def test_one_address_opens_so_many_conversations(site):
    statuses = [site.client().post("/v1/chat/conversations", json={}).status_code for _ in range(9)]
    assert statuses[-1] == 429


def test_a_socket_stays_open_for_longer_than_a_body_may_take(tmp_path):
    limits = Limits(body_bytes=1 << 18, body_seconds=0.5)
    with running(tmp_path, pace={"limits": limits}) as site:
        ann = site.customer()
        with ann.live() as socket:
            assert json.loads(socket.recv(timeout=60))["event"] == "state"
            time.sleep(2.5)
            socket.send(json.dumps({"text": "hello", "id": "m-1"}))
            assert json.loads(socket.recv(timeout=60))["event"] in ("message", "kept")


def test_a_bucket_fills_again():
    now = [0.0]
    rates = Rates(2, 10.0, "messages", clock=lambda: now[0])
    rates.take("a")
    rates.take("a")
    with pytest.raises(Problem) as refused:
        rates.take("a")
    assert refused.value.headers["Retry-After"] == "6"
    now[0] = 5.1
    rates.take("a")


@pytest.mark.parametrize(
    ("address", "counted"),
    [("192.0.2.7", "192.0.2.7"), ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"), ("somebody", "somebody"),
     ("::ffff:192.0.2.7", "192.0.2.7")],
)  # fmt: skip
def test_of_ipv6_a_network_counts_as_one(address, counted):
    assert network(address) == counted


def test_a_slow_reader_is_told_to_look_at_everything_and_is_sent_home():
    async def read():
        hub = Hub()
        with hub.subscribe() as notes:
            for number in range(300):
                hub.said(f"c{number % 290}")
            hub.said("c1")
            await asyncio.sleep(0.05)
            first = await notes.next(1)
            hub.stop()
            found = [first]
            while found[-1] != STOP:
                found.append(await notes.next(5))
            return found

    found = asyncio.run(read())
    assert found[0] == RELOAD and len(found) < 100


def test_notes_that_say_the_same_are_one():
    async def read():
        hub = Hub()
        with hub.subscribe("a") as notes:
            for _ in range(50):
                hub.said("a")
                hub.said("b")
            await asyncio.sleep(0.05)
            return [await notes.next(1), await notes.next(0.05)]

    first, second = asyncio.run(read())
    assert first.conversation == "a" and second is None
