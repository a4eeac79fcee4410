"""The desk: who may what, a conversation from the queue to its end, two who take it at once, and what it is told."""

from __future__ import annotations

import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from supported import PASSWORD, running
from test_support_chat import events, named
from websockets.exceptions import InvalidStatus

from metier.serve.support.office import Office
from metier.store import audit, conversations


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with running(
        tmp_path_factory.mktemp("desk"), pace={"threads": 4}, service={"per_minute": 1_000, "opened_per_hour": 1_000},
        handover={"warn": 0.1},
    ) as made:  # fmt: skip
        yield made


def waiting(site):
    """A customer who waits for a person."""
    made = site.customer()
    made.say("I have lost my card, mail me at ann@example.com")
    assert made.act("call").json()["state"] == "pending"
    return made


def act(site, customer, what, key="ann"):
    return site.client(key).post(f"/v1/desk/conversations/{customer.id}/acts", json={"act": what})


# (method, path, least role, body, success)
ROUTES = [
    ("GET", "/v1/desk/queue", "viewer", None, 200),
    ("GET", "/v1/desk/conversations?state=pending", "viewer", None, 200),
    ("GET", "/v1/desk/conversations?mine=true", "viewer", None, 200),
    ("GET", "/v1/desk/conversations?state=odd", "viewer", None, 422),
    ("GET", "/v1/desk/conversations/{id}", "viewer", None, 200),
    ("GET", "/v1/desk/conversations/{id}?plain=1", "admin", None, 200),
    ("GET", "/v1/desk/conversations/none", "viewer", None, 404),
    ("GET", "/v1/desk/conversations/{id}/suggestions", "viewer", None, 200),
    ("GET", "/v1/desk/figures", "viewer", None, 200),
    ("GET", "/v1/desk/replies", "viewer", None, 200),
    ("POST", "/v1/desk/replies", "analyst", {"title": "Hi", "text": "Hello"}, 201),
    ("DELETE", "/v1/desk/replies/none", "analyst", None, 404),
    ("POST", "/v1/desk/present", "analyst", None, 204),
    ("POST", "/v1/desk/conversations/{id}/typing", "analyst", None, 204),
    ("POST", "/v1/desk/conversations/{id}/messages", "analyst", {"text": "not mine"}, 409),
    ("POST", "/v1/desk/conversations/{id}/acts", "analyst", {"act": "return"}, 409),
    ("POST", "/v1/desk/conversations/{id}/messages/{number}/verdict", "analyst", {"verdict": "wrong"}, 201),
    ("GET", "/v1/whoami", "viewer", None, 200),
    ("GET", "/v1/people", "admin", None, 200),
    ("GET", "/metrics", "viewer", None, 200),
    ("POST", "/v1/desk/conversations/{id}/erase", "admin", None, 200),
]


def test_every_route_for_every_role(site):
    ann = waiting(site)
    number = next(one["number"] for one in ann.messages()["messages"] if one["author"] == "bot")
    roles = ("viewer", "analyst", "admin")
    for method, path, least, body, success in ROUTES:
        place = path.format(id=ann.id, number=number)
        assert site.client().request(method, place, json=body).status_code == 401, path
        for role in roles:
            if roles.index(role) < roles.index(least):
                assert site.client(role).request(method, place, json=body).status_code == 403, (role, path)
        assert site.client(least).request(method, place, json=body).status_code == success, (least, path)


def test_a_customers_token_opens_no_desk_and_a_key_no_conversation(site):
    ann = site.customer()
    assert ann.http.get("/v1/desk/queue").status_code == 401
    assert site.client("admin").get(f"{ann.path}/messages").status_code == 404


def test_from_the_queue_to_the_end(site):
    ann = waiting(site)
    time.sleep(0.15)
    row = next(one for one in site.client("ann").get("/v1/desk/queue").json()["queue"] if one["id"] == ann.id)
    assert row["late"] and row["position"] >= 1
    assert act(site, ann, "take").json()["agent"] == "key ann"
    said = site.client("ann").post(f"/v1/desk/conversations/{ann.id}/messages", json={"text": "Here I am", "id": "a-1"})
    assert said.status_code == 201
    assert act(site, ann, "resolve", "bob").status_code == 409
    assert ann.say("thank you").json()["replies"] == [], "the bot is silent while a person answers"
    told = [(one["author"], one["tier"]) for one in ann.messages()["messages"]]
    assert ("agent", "person") in told
    assert act(site, ann, "resolve").json()["state"] == "resolved"
    again = ann.say("What does a transfer cost").json()
    assert again["conversation"]["state"] == "bot" and again["replies"][0]["tier"] == "template"


def test_of_two_who_take_it_at_once_one_has_it(site):
    customers = [waiting(site) for _ in range(6)]
    with ThreadPoolExecutor(12) as threads:
        tries = [(one, threads.submit(act, site, one, "take", key)) for one in customers for key in ("ann", "bob")]
        found = [(one.id, done.result().status_code) for one, done in tries]
    for one in customers:
        assert sorted(status for id, status in found if id == one.id) == [200, 409]
        joined = [message for message in one.messages()["messages"] if "has joined" in message["text"]]
        assert len(joined) == 1
        owner = site.office.support.get(one.id).agent.removeprefix("key ")
        assert act(site, one, "resolve", owner).status_code == 200


def test_private_data_is_masked_and_who_looks_is_written_down(site):
    ann = waiting(site)
    path = f"/v1/desk/conversations/{ann.id}"
    assert "ann@example.com" not in site.client("admin").get(path).text
    assert site.client("analyst").get(path, params={"plain": 1}).status_code == 403
    assert "ann@example.com" in site.client("admin").get(path, params={"plain": 1}).text
    with site.store.read() as connection:
        last = audit.listing(connection, limit=1)[0]
    assert (last.who, last.what, last.subject) == ("key admin", "unmask", ann.id)


def test_who_is_erased_is_gone_for_good(site):
    ann = waiting(site)
    done = site.client("admin").post(f"/v1/desk/conversations/{ann.id}/erase").json()
    assert done["conversations"] == 1 and done["messages"] >= 3
    assert ann.say("hello").status_code == 404
    with site.store.read() as connection:
        assert all(one.text == "" for one in conversations.transcript(connection, ann.id))
    assert (
        "ann@example.com" not in site.client("admin").get(f"/v1/desk/conversations/{ann.id}", params={"plain": 1}).text
    )
    assert site.client("admin").post(f"/v1/desk/conversations/{ann.id}/erase").status_code == 404


def test_suggestions_and_canned_replies(site):
    ann = waiting(site)
    found = site.client("ann").get(f"/v1/desk/conversations/{ann.id}/suggestions").json()
    assert found["entries"][0]["entry"] == "lost" and len(found["entries"]) <= 3 and found["quotes"]
    made = site.client("ann").post("/v1/desk/replies", json={"title": "Wait", "text": "One moment."}).json()
    assert made in site.client("bob").get("/v1/desk/replies").json()["replies"]
    assert site.client("bob").delete(f"/v1/desk/replies/{made['id']}").status_code == 204
    assert made not in site.client("bob").get("/v1/desk/replies").json()["replies"]


@pytest.mark.parametrize("number", [-1, 2**63, 10**40])
def test_numbers_that_no_message_has_are_refused(site, number):
    ann, desk = site.customer(), site.client("admin")
    own = f"/v1/desk/conversations/{ann.id}"
    for http, path in ((ann.http, f"{ann.path}/messages?after={number}"), (desk, f"{own}?after={number}")):
        assert http.get(path).status_code == 422
    for http, path in ((ann.http, ann.path), (desk, own)):
        said = http.post(f"{path}/messages/{number}/verdict", json={"verdict": "right"})
        assert said.status_code == 422
    assert desk.get(f"/v1/audit?before={number}").status_code == 422
    with pytest.raises(InvalidStatus):
        ann.live(after=number)


def test_figures_count_what_was_said(site):
    ann = waiting(site)
    ann.http.post(f"{ann.path}/rating", json={"rating": 5})
    found = site.client("viewer").get("/v1/desk/figures").json()
    assert found["conversations"] >= 1 and found["handed_over"] >= 1 and found["tiers"]["template"] >= 1
    assert found["ratings"]["5"] >= 1 and 0 <= found["resolution"] <= 1
    assert site.client("viewer").get("/v1/desk/figures?start=5&end=6").json()["questions"] == 0


def test_the_socket_of_the_desk_tells_of_the_queue_and_of_ones_own(site):
    headers = {"Authorization": f"Bearer {site.keys['ann']}"}
    ann = site.customer()
    with site.socket("/v1/desk/live", additional_headers=headers) as desk, ann.live() as live:
        assert events(desk, lambda one: one["event"] == "ready")
        ann.act("call")
        events(desk, lambda one: one["event"] == "queue" and any(row["id"] == ann.id for row in one["queue"]))
        assert events(live, lambda one: one["event"] == "state" and one["state"] == "pending")[-1]["position"] >= 1
        act(site, ann, "take")
        events(desk, lambda one: one["event"] == "conversation" and one["conversation"]["state"] == "human")
        assert events(live, lambda one: one["event"] == "state" and one["state"] == "human")[-1]["agent"] == "key ann"
        ann.say("are you there", "v-1")
        told = events(desk, lambda one: one["event"] == "message" and one["message"]["id"] == "v-1")[-1]
        assert told["conversation"] == ann.id
        desk.send(json.dumps({"typing": ann.id, "present": True}))
        assert events(live, lambda one: one["event"] == "typing")[-1]["name"] == "key ann"
        live.send(json.dumps({"typing": True}))
        assert events(desk, lambda one: one["event"] == "typing")[-1]["name"] == "visitor"
    with site.socket("/v1/desk/live", additional_headers={"Authorization": "Bearer wrong"}) as desk:
        assert json.loads(desk.recv(timeout=60))["status"] == 401


def test_another_site_can_do_nothing_with_a_cookie(site):
    from websockets.exceptions import InvalidStatus

    home = {"Origin": site.url}
    found = site.client().post("/login", data={"name": "analyst-1", "password": PASSWORD}, headers=home)
    assert found.status_code == 303, found.text
    cookie = {"Cookie": f"{Office.cookie}={found.cookies[Office.cookie]}"}
    assert site.client().get("/v1/whoami", headers=cookie).json()["name"] == "analyst-1"
    evil = cookie | {"Origin": "https://evil.example"}
    assert site.client().post("/v1/desk/present", headers=evil).status_code == 403
    assert site.client().post("/v1/desk/present", headers=cookie | home).status_code == 204
    with pytest.raises(InvalidStatus):
        site.socket("/v1/desk/live", additional_headers=evil).recv(timeout=60)
    with site.socket("/v1/desk/live", additional_headers=cookie) as desk:
        assert json.loads(desk.recv(timeout=60))["status"] == 403, "a browser says where it comes from"
    with site.socket("/v1/desk/live", additional_headers=cookie | home) as desk:
        assert json.loads(desk.recv(timeout=60))["event"] == "ready"


def test_a_person_who_goes_away_loses_the_conversation(tmp_path):
    with running(tmp_path, pace={"sweep_seconds": 0.2}, handover={"lost": 10.0}) as site:
        ann = waiting(site)
        act(site, ann, "take")
        with site.store.write() as connection:
            seen = conversations.get(connection, ann.id)
            conversations.change(connection, seen, seen=time.time() - 60)
        end = time.monotonic() + 60
        while (state := ann.http.get(ann.path).json())["state"] != "pending" and time.monotonic() < end:
            time.sleep(0.1)
        assert state["state"] == "pending" and state["position"] == 1


def test_processes_on_one_store_hear_each_other(tmp_path):
    with running(tmp_path) as one, running(tmp_path, store=one.store, keys=one.keys) as other:
        ann = one.customer()
        ann.running = other
        with ann.live() as socket:
            events(socket, lambda event: event["event"] == "state")
            ann.say("hello", "v-1")
            found = events(socket, lambda event: event["event"] == "reply")
            assert named(found, "message")[0]["message"]["id"] == "v-1"


def test_a_stop_finishes_what_was_accepted(tmp_path):
    with running(tmp_path, pace={"threads": 1}) as site:
        ann, found = site.customer(), []
        waits = threading.Thread(target=lambda: found.append(ann.say("Please answer slowly", "m-1")))
        waits.start()
        end = time.monotonic() + 60
        while not site.office.pool.taken and time.monotonic() < end:
            time.sleep(0.01)
        site.web.handle_exit(15, None)
        waits.join(60)
        assert found[0].status_code == 200 and found[0].json()["replies"][0]["text"] == "That took a while."
