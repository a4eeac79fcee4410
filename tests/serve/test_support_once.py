"""Each message once, whatever breaks in between: sent twice at a time, heard after a break, answered by two at once."""

from __future__ import annotations

import json
import socket as sockets
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from supported import fill, running, support_of
from websockets.exceptions import ConnectionClosed

from metier.apps.support import support as meeting
from metier.apps.support.settings import SupportSettings
from metier.serve.support.hub import Hub
from metier.store import audit, conversations
from metier.store.store import Store

PACE = {"per_minute": 10_000, "opened_per_hour": 10_000}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with running(tmp_path_factory.mktemp("once"), pace={"threads": 4}, service=PACE) as made:
        yield made


def heard(socket, limit):
    """Numbers of the messages that a socket tells, up to `limit` events, to its end, or to a second of silence."""
    found = []
    for _ in range(limit):
        try:
            event = json.loads(socket.recv(timeout=1.0))
        except (TimeoutError, ConnectionClosed):
            break
        if event["event"] in ("message", "reply"):
            found.append(event["message"]["number"])
    return found


def test_who_comes_back_misses_nothing_and_hears_nothing_twice(site):
    ann, found = site.customer(), []
    other = site.client(Authorization=f"Bearer {ann.token}")

    def write():
        for number in range(12):
            other.post(f"{ann.path}/messages", json={"text": "I have lost my card", "id": f"m-{number}"})

    writes = threading.Thread(target=write)
    writes.start()
    for events in range(1, 10):  # it breaks before, between and behind the sentences of an answer
        with ann.live(after=max(found, default=0)) as socket:
            found += heard(socket, events)
            if events % 2:
                socket.socket.shutdown(sockets.SHUT_RDWR)
    writes.join(60)
    with ann.live(after=max(found, default=0)) as socket:
        end = time.monotonic() + 60
        while len(found) < 24 and time.monotonic() < end:
            found += heard(socket, 1)
        found += heard(socket, 5)
    assert found == [one["number"] for one in ann.messages()["messages"]] and len(found) == 24


def test_what_is_sent_from_several_sides_at_once_is_kept_and_answered_once(site):
    ann = site.customer()
    clients = [site.client(Authorization=f"Bearer {ann.token}") for _ in range(4)]
    body = {"text": "Please answer slowly", "id": "same"}
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda one: one.post(f"{ann.path}/messages", json=body).json(), clients))
    assert len({one["message"]["number"] for one in found}) == 1
    assert {tuple(reply["number"] for reply in one["replies"]) for one in found} == {
        (found[0]["message"]["number"] + 1,)
    }
    assert [one["author"] for one in ann.messages()["messages"]] == ["visitor", "bot"]


def test_of_two_processes_that_answer_a_message_at_once_one_does(tmp_path):
    with Store.open(tmp_path / "support.db") as store:
        fill(store)
        two = [support_of(store, SupportSettings(), Hub()) for _ in range(2)]
        made, _ = two[0].open()
        with ThreadPoolExecutor(2) as threads:
            found = list(threads.map(lambda one: one.receive(made.id, "Please answer slowly", "m-1"), two))
            called = list(threads.map(lambda one: one.receive(made.id, "/person", "m-2"), two))
        said = two[0].transcript(made.id)
        for one in two:
            one.close()
    assert [one.author for one in said] == ["visitor", "bot", "visitor", "system"]
    assert {reply.number for one in found for reply in one.replies} == {said[1].number}
    assert {one.conversation.state for one in called} == {"pending"}


def test_an_act_its_words_and_its_entry_in_the_log_are_kept_together_or_not_at_all(tmp_path, monkeypatch):
    with Store.open(tmp_path / "support.db") as store:
        fill(store)
        support = support_of(store, SupportSettings(), Hub())
        made, _ = support.open()

        def killed(*_):
            raise RuntimeError("killed")

        with store.read() as connection:
            before = audit.head(connection)
        with monkeypatch.context() as patched:
            patched.setattr(meeting, "_deliver", killed)
            for work in (lambda: support.call(made.id), lambda: support.act(made.id, "take", "agent", "ann"),
                         lambda: support.receive(made.id, "/person", "m-1")):  # fmt: skip
                with pytest.raises(RuntimeError, match="killed"):
                    work()
        with store.read() as connection:
            assert conversations.get(connection, made.id).state == "bot"
            assert audit.head(connection) == before
            assert [one.id for one in conversations.unanswered(connection, time.time() + 1)] == ["m-1"]
        monkeypatch.setattr(meeting, "ABANDONED", -1.0)
        assert support.sweep() == 1 and support.get(made.id).state == "pending"
        assert [one.tier for one in support.transcript(made.id)] == [None, "handover"]
        support.close()


def test_conversations_go_on_after_a_new_start(tmp_path):
    slots = {"service": PACE}
    with Store.open(tmp_path / "support.db") as store:
        keys = fill(store)
        with running(tmp_path, store=store, keys=keys, **slots) as site:
            asks, waits, talks = (site.customer() for _ in range(3))
            asks.say("Where is my parcel")
            for one in (waits, talks):
                one.act("call")
            site.client("ann").post(f"/v1/desk/conversations/{talks.id}/acts", json={"act": "take"})
    with Store.open(tmp_path / "support.db") as store, running(tmp_path, store=store, keys=keys, **slots) as site:
        for one in (asks, waits, talks):
            one.running, one.http = site, site.client(Authorization=f"Bearer {one.token}")
        assert asks.say("P1234").json()["replies"][0]["text"] == "Parcel P1234 is on its way."
        state = waits.http.get(waits.path).json()
        assert (state["state"], state["position"]) == ("pending", 1)
        kept = talks.say("are you there").json()
        assert kept["replies"] == [] and kept["conversation"]["agent"] == "key ann"
        said = site.client("ann").post(f"/v1/desk/conversations/{talks.id}/messages", json={"text": "I am."})
        assert said.status_code == 201 and talks.messages()["messages"][-1]["text"] == "I am."


def test_the_last_hour_is_looked_through_again_and_what_failed_before_it(tmp_path, monkeypatch):
    now = [10_000.0]
    with Store.open(tmp_path / "support.db") as store:
        fill(store)
        support = support_of(store, SupportSettings(), Hub(), clock=lambda: now[0])
        made, _ = support.open()
        first = support.keep(made.id, "What does a transfer cost", "m-1")
        now[0] += 100_000.0
        with monkeypatch.context() as patched:
            patched.setattr(support, "receive", lambda *_: 1 / 0)
            assert support.sweep() == 0
        assert support.sweep() == 1, "what failed is tried again, however old it is"
        assert support.transcript(made.id)[1].answers == first.number
        assert support.sweep() == 0
        support.close()
