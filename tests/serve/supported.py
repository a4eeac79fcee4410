"""A small customer service whose search needs no encoder, its web service on loopback, and as a program of its own.

`python supported.py FOLDER` prints the address, then serves until a signal; with `--page` there are pages, too.
"""

from __future__ import annotations

import sys
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np

from metier.apps.support import assemble
from metier.apps.support import support as meeting
from metier.apps.support.answer.answerer import Answerer, Parts
from metier.apps.support.answer.known import Known
from metier.apps.support.answer.papers import Papers
from metier.apps.support.answer.sure import Sure
from metier.apps.support.settings import SupportSettings
from metier.apps.support.support import House, Support
from metier.data.papers.passages import Passage
from metier.search.index import Hit
from metier.search.words import terms
from metier.serve.doors.hand import Hand, add_key, enrol
from metier.serve.doors.server import server
from metier.serve.server import bind
from metier.serve.support import ServiceSettings, create_app
from metier.serve.support.hub import Hub
from metier.store import knowledge
from metier.store.knowledge import StoredEntry
from metier.store.store import Store

WIDTH = 512
PASSWORD = "correct horse battery"
ROLES = ("viewer", "analyst", "admin")
ENTRIES = (
    StoredEntry("lost", "I have lost my card", "Lock it in the app. A new one is free. It comes by post."),
    StoredEntry("fee", "What does a transfer cost", "A transfer costs nothing."),
    StoredEntry("slow", "Please answer slowly", "That took a while."),
    StoredEntry("order", "Where is my parcel", "Parcel {parcel} is on its way."),
)
PAPER = Passage("p1", "fees.md", "Fees", "Abroad", "Cash abroad costs two per cent. At home it is free.", 0)
SLOW = 0.6
"""Seconds that a slow question takes."""


def encode(texts):
    """Bags of words as unit vectors; a question about slowness takes its time."""
    if any("slowly" in text for text in texts):
        time.sleep(SLOW)
    found = np.zeros((len(texts), WIDTH), dtype=np.float32)
    for row, text in zip(found, texts, strict=True):
        for term in terms(text):
            row[sum(map(ord, term)) * 31 % WIDTH] += 1
    return found / np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-9)


class Bags:
    """An index over bags of words."""

    def __init__(self):
        self._texts, self._turn = {}, threading.Lock()

    def search(self, text, limit=5, *, vector=None, without=()):
        with self._turn:
            texts = [one for id, one in self._texts.items() if id not in set(without)]
        if not texts:
            return []
        own = encode([text])[0] if vector is None else vector
        cosines = encode([one.text.replace("slowly", "") for one in texts]) @ own
        best = {}
        for one, cosine in sorted(zip(texts, cosines, strict=True), key=lambda pair: -pair[1]):
            best.setdefault(one.group, Hit(one.id, one.group, float(cosine), 0.0, float(cosine), (0, 1), one.text))
        return list(best.values())[:limit]

    def __contains__(self, id):
        return id in self._texts

    def put(self, texts):
        with self._turn:
            self._texts.update({one.id: one for one in texts})

    def remove(self, ids):
        with self._turn:
            for id in ids:
                self._texts.pop(id, None)


def support_of(store, asked, hub, clock=time.time):
    """Customer service over a store."""
    known = Known(store, Bags(), Sure())
    known.follow()
    papers = Papers(Bags(), [], Sure())
    papers.change([], [PAPER])
    write = assemble.written(asked, encode) if asked.generator.endpoint else None
    parts = Parts(known, encode, papers, write=write, slots=asked.slots, rules=asked.answers, version="test")
    house = House(asked.handover.office(), asked.handover.lost, asked.service.longest)
    return Support(store, Answerer(parts), house, hear=hub.hear, clock=clock)


@dataclass
class Running:
    """A service on loopback."""

    url: str
    app: object
    keys: dict
    web: object = None
    opened: list = field(default_factory=list)

    @property
    def office(self):
        return self.app.state.console

    @property
    def store(self):
        return self.office.store

    def client(self, key=None, **headers):
        """An HTTP client; as a person with the key of a role, or as a customer."""
        if key is not None:
            headers["Authorization"] = f"Bearer {self.keys[key]}"
        made = httpx.Client(base_url=self.url, headers=headers, timeout=90, verify=False, trust_env=False)
        self.opened.append(made)
        return made

    def customer(self, **headers):
        """A customer with a new conversation."""
        return Customer(self, **headers)

    def socket(self, path, **more):
        from websockets.sync.client import connect

        return connect(self.url.replace("http", "ws") + path, open_timeout=60, close_timeout=5, **more)


class Customer:
    """Somebody with a conversation."""

    def __init__(self, running, **headers):
        self.running, self.http = running, running.client()
        made = self.http.post("/v1/chat/conversations", json={}, headers=headers)
        assert made.status_code == 201, made.text
        self.id, self.token = made.json()["id"], made.json()["token"]
        self.http.headers["Authorization"] = f"Bearer {self.token}"
        self.path = f"/v1/chat/conversations/{self.id}"

    def say(self, text, id=None, **more):
        return self.http.post(f"{self.path}/messages", json={"text": text} | ({"id": id} if id else {}), **more)

    def messages(self, after=0, **query):
        return self.http.get(f"{self.path}/messages", params={"after": after, **query}).json()

    def act(self, what):
        return self.http.post(f"{self.path}/acts", json={"act": what})

    def live(self, after=0):
        protocols = ["metier.chat", f"bearer.{self.token}"]
        return self.running.socket(f"{self.path}/live?after={after}", subprotocols=protocols)


def fill(store):
    """What is known, and who may come in; the keys by role."""
    with store.write() as connection:
        knowledge.put(connection, ENTRIES)
    hand = Hand(store, "tests", time.time())
    for role in ROLES:
        enrol(hand, f"{role}-1", role, PASSWORD)
    return {
        name: add_key(hand, name, role)
        for name, role in (
            ("viewer", "viewer"),
            ("analyst", "analyst"),
            ("admin", "admin"),
            ("ann", "analyst"),
            ("bob", "analyst"),
        )
    }


@contextmanager
def running(folder, *, store=None, keys=None, clock=time.time, pace=None, **asked):
    """The service in a thread of this process."""
    settings = SupportSettings.parse({"slots": {"parcel": {"kind": "code", "pattern": "P[0-9]{4}"}}, **asked})
    with ExitStack() as stack:
        if store is None:
            store = stack.enter_context(Store.open(Path(folder) / "support.db"))
            keys = fill(store)
        hub = Hub()
        support = support_of(store, settings, hub, clock)
        stack.callback(support.close)
        quick = {"port": 0, "look_seconds": 0.2, "follow_seconds": 0.2, "sweep_seconds": 0.5, "page": False}
        app = create_app(support, store, settings, ServiceSettings(**quick | (pace or {})), hub=hub, clock=clock)
        told, address = threading.Event(), []
        web = server(app, lambda url: (address.append(url), told.set()))
        listener = stack.enter_context(bind("127.0.0.1", 0))
        thread = threading.Thread(target=web.run, args=([listener],), daemon=True)
        thread.start()
        assert told.wait(120)
        made = Running(address[0], app, keys, web)
        try:
            yield made
        finally:
            for one in made.opened:
                one.close()
            web.handle_exit(15, None)
            thread.join(120)
            assert not thread.is_alive()


def main():
    from metier.serve.doors.server import serve

    folder = Path(sys.argv[1])
    meeting.ABANDONED = 0.5
    pace = {"per_minute": 10_000, "opened_per_hour": 10_000}
    asked = SupportSettings.parse({"service": pace, "handover": {"lost": 86_400.0}})
    with Store.open(folder / "support.db") as store:
        hub = Hub()
        support = support_of(store, asked, hub)
        page = "--page" in sys.argv
        settings = ServiceSettings(port=0, page=page, threads=4, waiting=1_000, sweep_seconds=0.3, look_seconds=0.5)

        def announce(address):
            sys.stdout.write(address + "\n")
            sys.stdout.flush()

        serve(create_app(support, store, asked, settings, hub=hub), announce)
        support.close()


if __name__ == "__main__":
    main()
