"""Outside channels: whose messages are taken, that each is taken once, and that answers arrive, in their order."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from supported import running

from metier.apps.hooks import signature
from metier.apps.support.settings import ChannelPart
from metier.errors import RecipeError
from metier.serve.support.channels import Channels
from metier.store import conversations, deliveries
from metier.store.store import Store

SECRET = "a secret that both sides know"


class Receiver(BaseHTTPRequestHandler):
    """Takes what comes, except the first so many, which it answers with 503."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        status = 503 if self.server.refusing > 0 else 200
        self.server.refusing -= 1
        self.server.came.append((status, dict(self.headers), body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        """Silent."""


@contextmanager
def receiver(refusing=0):
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.came, server.refusing = [], refusing
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@contextmanager
def channel(folder, monkeypatch, server, store=None, **part):
    monkeypatch.setenv("CHANNEL_SECRET", SECRET)
    url = f"http://127.0.0.1:{server.server_address[1]}/hook"
    one = {"name": "shop", "url": url, "secret_env": "CHANNEL_SECRET", "allow_private": True} | part
    with running(folder, store=store, channels=[one], pace={"threads": 1}) as site:
        yield site


def send(site, text, id="m-1", *, at=None, secret=SECRET, name="shop", conversation="+49 30 123456", changed=b""):
    content = json.dumps({"conversation": conversation, "id": id, "text": text}).encode()
    stamp = str(int(time.time() if at is None else at))
    headers = {
        "webhook-id": id, "webhook-timestamp": stamp, "webhook-signature": signature(secret, id, stamp, content),
        "content-type": "application/json",
    }  # fmt: skip
    return site.client().post(f"/v1/channels/{name}", content=content + changed, headers=headers)


def taken(server, count, seconds=60):
    """The bodies that were taken, once there are so many."""
    end = time.monotonic() + seconds
    while len(found := [json.loads(body) for status, _, body in server.came if status == 200]) < count:
        assert time.monotonic() < end, found
        time.sleep(0.05)
    return found


def test_a_message_is_answered_over_the_channel_once_and_in_order(tmp_path, monkeypatch):
    with receiver(refusing=2) as server, channel(tmp_path, monkeypatch, server) as site:
        first = send(site, "I have lost my card", "m-1")
        assert first.status_code == 202 and not first.json()["repeated"]
        assert send(site, "I have lost my card", "m-1").status_code == 200, "the same again has no effect"
        assert send(site, "What does a transfer cost", "m-2").status_code == 202
        found = taken(server, 2)
        assert [one["text"][:10] for one in found] == ["Lock it in", "A transfer"]
        assert {one["conversation"] for one in found} == {"+49 30 123456"}
        for _, headers, body in server.came:
            told = {key.lower(): value for key, value in headers.items()}
            own = signature(SECRET, told["webhook-id"], told["webhook-timestamp"], body)
            assert told["webhook-signature"] == own and told["webhook-id"] == json.loads(body)["id"]
        (kept,) = _all(site)
        assert kept.channel == "shop" and "49" not in kept.id
        said = site.office.support.transcript(kept.id)
        assert sorted(one.author for one in said) == ["bot", "bot", "visitor", "visitor"]
        time.sleep(0.5)
        assert len(taken(server, 2)) == 2


def _all(site):
    with site.store.read() as connection:
        return conversations.listing(connection)


@pytest.mark.parametrize(
    "wrong",
    [{"secret": "another secret"}, {"at": time.time() - 400}, {"at": time.time() + 4_000}, {"changed": b" "},
     {"name": "web"}, {"name": "other"}],
)  # fmt: skip
def test_what_is_not_signed_now_by_the_channel_is_not_taken(refusing_site, wrong):
    found = send(refusing_site, "hello", **wrong)
    assert found.status_code == 401 and found.json()["status"] == 401
    assert _all(refusing_site) == []


@pytest.fixture(scope="module")
def refusing_site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("refusing")
    with pytest.MonkeyPatch.context() as patch, receiver() as server, channel(folder, patch, server) as site:
        yield site


def test_a_body_that_is_none_is_refused(refusing_site):
    assert send(refusing_site, "x" * 5_000).status_code == 422
    assert send(refusing_site, "hello", id="not an id").status_code == 422
    assert all(one.last == one.opened for one in _all(refusing_site))


def test_a_private_address_is_asked_only_where_it_may_be(tmp_path, monkeypatch):
    with receiver() as server, channel(tmp_path, monkeypatch, server, allow_private=False) as site:
        assert send(site, "I have lost my card").status_code == 202
        (kept,) = _all(site)
        end = time.monotonic() + 60
        while not (fault := _fault(site)) and time.monotonic() < end:
            time.sleep(0.05)
        assert "no public address" in fault and server.came == []
        assert len(site.office.support.transcript(kept.id)) == 2


def _fault(site):
    from sqlalchemy import select

    from metier.store.support_tables import deliveries as table

    with site.store.read() as connection:
        return connection.execute(select(table.c.fault).where(table.c.state == "given_up")).scalar()


def test_what_was_not_sent_before_the_end_is_sent_by_the_next_process(tmp_path, monkeypatch):
    with receiver(refusing=10_000) as server, channel(tmp_path, monkeypatch, server) as site:
        send(site, "I have lost my card")
        end = time.monotonic() + 60
        while not server.came and time.monotonic() < end:
            time.sleep(0.05)
    path = tmp_path / "support.db"
    with receiver() as server, Store.open(path) as store, channel(tmp_path, monkeypatch, server, store) as site:
        assert taken(server, 1)[0]["text"].startswith("Lock it in")
        assert len(_all(site)) == 1


def test_a_delivery_is_claimed_by_one_of_two(tmp_path, monkeypatch):
    with receiver(refusing=10_000) as server, channel(tmp_path, monkeypatch, server) as site:
        send(site, "I have lost my card")
        end = time.monotonic() + 60
        while not server.came and time.monotonic() < end:
            time.sleep(0.05)
        with site.store.write() as connection:
            due = deliveries.due(connection, time.time() + 3_600, channel="shop")
            first = [deliveries.claim(connection, one, time.time() + 3_600) for one in due]
            again = [deliveries.claim(connection, one, time.time() + 7_200) for one in due]
        assert len(due) == 1 and first == [True] and again == [False]


def test_an_erased_customer_begins_anew(tmp_path, monkeypatch):
    with receiver() as server, channel(tmp_path, monkeypatch, server) as site:
        send(site, "I have lost my card", "m-1")
        taken(server, 1)
        (kept,) = _all(site)
        site.client("admin").post(f"/v1/desk/conversations/{kept.id}/erase")
        assert send(site, "What does a transfer cost", "m-2").status_code == 202
        found = sorted(_all(site), key=lambda one: one.opened)
        assert [one.erased is None for one in found] == [False, True]
        assert found[0].visitor == "" and "123456" not in str(found[0])


@pytest.mark.parametrize("secret", ["", "short"])
def test_a_channel_without_a_secret_is_refused(monkeypatch, secret):
    monkeypatch.setenv("CHANNEL_SECRET", secret)
    part = ChannelPart(name="shop", url="https://example.com", secret_env="CHANNEL_SECRET")
    with pytest.raises(RecipeError, match="CHANNEL_SECRET"):
        Channels([part], time.time)
