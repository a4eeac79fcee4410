"""Customers over HTTP and the socket: what is kept, what is told, and that nobody reads what is another's."""

from __future__ import annotations

import json
import threading
import time

import pytest
from supported import running

from metier.store import conversations, interactions, knowledge
from metier.store.knowledge import StoredEntry


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("support")
    with running(folder, pace={"threads": 4}, service={"per_minute": 1_000, "opened_per_hour": 1_000}) as made:
        yield made


def events(socket, until, seconds=60):
    """What is told up to the first event that `until` holds of."""
    found = []
    while not found or not until(found[-1]):
        found.append(json.loads(socket.recv(timeout=seconds)))
    return found


def named(found, event):
    return [one for one in found if one["event"] == event]


def test_a_question_is_kept_and_answered_with_what_it_rests_on(site):
    ann = site.customer()
    told = ann.say("I have lost my card", "m-1").json()
    assert told["message"]["id"] == "m-1" and told["message"]["author"] == "visitor"
    (reply,) = told["replies"]
    assert reply["text"].startswith("Lock it in the app.") and reply["tier"] == "template"
    assert reply["reply"]["citations"][0]["id"] == "lost" and reply["answers"] == told["message"]["number"]
    assert told["conversation"]["state"] == "bot"
    kept = ann.messages()
    assert [one["author"] for one in kept["messages"]] == ["visitor", "bot"]
    assert kept["next"] == kept["messages"][-1]["number"]
    assert ann.messages(kept["next"])["messages"] == []


def test_what_is_sent_twice_is_kept_and_answered_once(site):
    ann = site.customer()
    first, second = ann.say("What does a transfer cost", "same").json(), ann.say("What does a transfer cost", "same")
    assert second.json()["message"]["number"] == first["message"]["number"]
    assert [one["number"] for one in second.json()["replies"]] == [one["number"] for one in first["replies"]]
    assert len(ann.messages()["messages"]) == 2


def test_nobody_reads_or_touches_what_is_anothers(site):
    ann, eve = site.customer(), site.customer()
    ann.say("I have lost my card")
    number = ann.messages()["messages"][-1]["number"]
    asks = [
        ("GET", "", None), ("GET", "/messages", None), ("POST", "/messages", {"text": "hello"}),
        ("POST", "/acts", {"act": "call"}), ("POST", "/rating", {"rating": 1}),
        ("POST", f"/messages/{number}/verdict", {"verdict": "right"}),
    ]  # fmt: skip
    for method, path, body in asks:
        foreign = eve.http.request(method, ann.path + path, json=body)
        missing = eve.http.request(method, "/v1/chat/conversations/none" + path, json=body)
        assert foreign.status_code == missing.status_code == 404, path
        assert foreign.json() == missing.json()
        assert foreign.headers["content-type"] == "application/problem+json"
        assert site.client().request(method, ann.path + path, json=body).status_code == 401
    assert eve.http.post(f"{eve.path}/messages/{number}/verdict", json={"verdict": "right"}).status_code == 404
    eve.path = ann.path
    with eve.live() as socket:
        assert json.loads(socket.recv(timeout=60))["status"] == 404
    assert len(ann.messages()["messages"]) == 2


def test_private_data_is_stored_masked_and_shown_to_its_customer(site):
    ann = site.customer()
    ann.say("hello, my mail is ann@example.com and I have lost my card")
    assert "ann@example.com" in ann.messages()["messages"][0]["text"]
    with site.store.read() as connection:
        kept = conversations.transcript(connection, ann.id)
    assert "ann@example.com" not in str(kept) and "[email]" in kept[0].text


@pytest.mark.parametrize(
    ("body", "status"),
    [({"text": 5}, 422), ({}, 422), ({"text": "x", "more": 1}, 422), ({"text": "x" * 4_001}, 422),
     ({"text": "x" * 100_000}, 422), ({"text": "x", "id": "a b"}, 422), ({"text": "x" * 300_000}, 413)],
)  # fmt: skip
def test_what_is_no_message_is_refused_and_not_kept(site, body, status):
    ann = site.customer()
    found = ann.http.post(f"{ann.path}/messages", json=body)
    assert found.status_code == status and found.json()["status"] == status
    assert ann.messages()["messages"] == []


@pytest.mark.parametrize("text", ["", "<script>alert(1)</script>", "'; DROP TABLE messages; --", "\u0000", "🙂" * 500])
def test_odd_words_are_words(site, text):
    ann = site.customer()
    found = ann.say(text)
    assert found.status_code == 200 and found.json()["replies"]


def test_a_long_poll_ends_when_something_is_said(site):
    ann = site.customer()
    found = []
    waits = threading.Thread(target=lambda: found.append((ann.messages(wait=20), time.monotonic())))
    waits.start()
    time.sleep(0.3)
    said = time.monotonic()
    site.client(Authorization=f"Bearer {ann.token}").post(f"{ann.path}/messages", json={"text": "hello"})
    waits.join(20)
    told, at = found[0]
    assert told["messages"][0]["text"] == "hello" and at - said < 15
    begun = time.monotonic()
    assert ann.messages(told["next"] + 5, wait=0.2)["messages"] == []
    assert 0.15 < time.monotonic() - begun < 15


def test_the_socket_tells_in_order_a_sentence_at_a_time(site):
    ann = site.customer()
    with ann.live() as socket:
        assert events(socket, lambda one: one["event"] == "state")[-1]["state"] == "bot"
        ann.say("I have lost my card", "m-1")
        found = events(socket, lambda one: one["event"] == "reply")
        assert found[0]["message"]["id"] == "m-1"
        assert [one["text"] for one in named(found, "sentence")] == [
            "Lock it in the app.", "A new one is free.", "It comes by post."
        ]  # fmt: skip
        socket.send(json.dumps({"text": "What does a transfer cost", "id": "m-2"}))
        found = events(socket, lambda one: one["event"] == "kept")
        if not named(found, "reply"):
            found += events(socket, lambda one: one["event"] == "reply")
        assert {"kept", "message", "reply"} <= {one["event"] for one in found}
        socket.send('{"text": 5}')
        assert events(socket, lambda one: one["event"] == "problem")[-1]["status"] == 422
    numbers = [one["number"] for one in ann.messages()["messages"]]
    with ann.live(after=numbers[1]) as socket:
        found = events(socket, lambda one: one["event"] == "state")
        assert [one["message"]["number"] for one in found[:-1]] == numbers[2:]
        assert not named(found, "sentence"), "what was said before is told as a whole"


def test_the_token_may_come_first_over_the_socket_and_never_in_the_address(site):
    ann = site.customer()
    with site.socket(f"{ann.path}/live") as socket:
        socket.send(json.dumps({"token": ann.token, "after": 0}))
        assert json.loads(socket.recv(timeout=60))["event"] == "state"
    with site.socket(f"{ann.path}/live?token={ann.token}") as socket:
        socket.send(json.dumps({"text": "hello"}))
        assert json.loads(socket.recv(timeout=60))["status"] == 401
    assert ann.messages()["messages"] == []


def test_a_person_is_called_and_the_customer_may_leave_the_queue(site):
    ann = site.customer()
    called = ann.act("call").json()
    assert called["state"] == "pending" and called["position"] >= 1
    assert ann.messages()["messages"][-1]["tier"] == "handover"
    assert ann.act("call").status_code == 409
    assert ann.act("leave").json()["state"] == "bot"
    assert ann.act("take").status_code == 422


def test_ratings_and_verdicts_are_kept_for_training(site):
    ann = site.customer()
    assert ann.http.post(f"{ann.path}/rating", json={"rating": 6}).status_code == 422
    assert ann.http.post(f"{ann.path}/rating", json={"rating": 4, "remark": "mail ann@example.com"}).status_code == 204
    told = ann.say("I have lost my card").json()
    path = f"{ann.path}/messages/{told['replies'][0]['number']}/verdict"
    for _ in range(2):
        said = ann.http.post(path, json={"verdict": "corrected", "correction": "Ring us: ann@example.com"})
        assert said.status_code == 201
    assert ann.http.post(path, json={"verdict": "corrected"}).status_code == 422
    own = ann.http.post(f"{ann.path}/messages/{told['message']['number']}/verdict", json={"verdict": "wrong"})
    assert own.status_code == 404, "one's own question is no answer"
    subject = str(told["replies"][0]["number"])
    with site.store.read() as connection:
        (kept,) = interactions.of(connection, "message", subject)
    assert kept.app == "support" and kept.who == "visitor" and kept.prediction["entry"] == "lost"
    assert kept.correction == "Ring us: [email]"
    with site.store.read() as connection:
        assert conversations.get(connection, ann.id).remark == "mail [email]"


def test_what_is_known_since_a_moment_answers_within_a_second(site):
    ann = site.customer()
    assert ann.say("How do I close my account forever").json()["replies"][0]["tier"] != "template"
    with site.store.write() as connection:
        knowledge.put(connection, [StoredEntry("close", "How do I close my account forever", "Write to us.")])
    time.sleep(1.0)
    assert ann.say("How do I close my account forever").json()["replies"][0]["text"] == "Write to us."


def test_private_slots_and_documents(site):
    ann = site.customer()
    assert "parcel" in ann.say("Where is my parcel").json()["replies"][0]["reply"]["waiting"]
    assert ann.say("P1234").json()["replies"][0]["text"] == "Parcel P1234 is on its way."
    found = ann.say("cash abroad costs two per cent").json()["replies"][0]
    assert found["tier"] == "search" and found["reply"]["citations"][0]["link"] == "fees.md"
