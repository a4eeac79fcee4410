"""Customers who write, lose the connection, write again, and remember what was acknowledged to them."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from dataclasses import dataclass, field

import httpx

from metier.store import conversations

TEXTS = ("I have lost my card", "What does a transfer cost", "hello", "I have lost my card please", "/person")
SLOW = "Please answer slowly"
TARGETS = {"call": "pending", "leave": "bot", "take": "human", "return": "pending", "resolve": "resolved"}
LINES = 16


@dataclass
class Customer:
    """One with a conversation, and a person who comes when called.

    `said`: ids of messages that were acknowledged, in order; `waits`: id and text of one that was not; `states`: in
    which the conversation may be: one, but where an act was not acknowledged.
    """

    number: int
    id: str = ""
    token: str = ""
    turns: int = 0
    said: list = field(default_factory=list)
    told: dict = field(default_factory=dict)
    waits: tuple = ()
    states: set = field(default_factory=lambda: {"bot"})

    def text(self):
        at = self.number + self.turns
        return SLOW if at % 17 == 16 else TEXTS[at % len(TEXTS)]


class Crowd:
    """Customers who write to a service until it is gone.

    Args:
        count: of customers.
        key: with which a person takes and ends conversations.
    """

    def __init__(self, count, key):
        self.customers = [Customer(number) for number in range(count)]
        self.key, self.acknowledged, self.turn = key, 0, deque(self.customers)

    def write(self, url, enough):
        """Writes until `enough()` says so, which is asked after each acknowledgement, or the service is gone."""
        asyncio.run(self._all(url, lambda http: self._line(http, enough)))

    def settle(self, url):
        """What was not acknowledged is sent once more."""
        asyncio.run(self._all(url, self._settling))

    async def _all(self, url, line):
        async with httpx.AsyncClient(base_url=url, timeout=120, verify=False, trust_env=False) as http:
            await asyncio.gather(*(line(http) for _ in range(LINES)))

    async def _line(self, http, enough):
        try:
            while not enough():
                one = self.turn.popleft()
                try:
                    await self._step(http, one)
                finally:
                    self.turn.append(one)
        except httpx.TransportError:  # it was killed
            return

    async def _settling(self, http):
        while any(one.waits or len(one.states) > 1 for one in self.turn):
            one = self.turn.popleft()
            if one.waits or len(one.states) > 1:
                await self._step(http, one)
            self.turn.append(one)

    async def _step(self, http, one):
        one.turns += 1
        if not one.id:
            made = (await self._post(http, "/v1/chat/conversations", {}, "")).json()
            one.id, one.token = made["id"], made["token"]
        elif len(one.states) > 1:
            now = (await http.get(f"/v1/chat/conversations/{one.id}", headers=_bearer(one.token))).json()["state"]
            assert now in one.states, (now, one)
            one.states = {now}
        elif one.waits or one.states == {"bot"} or one.turns % 3 == 0:
            await self._say(http, one)
        else:
            await self._act(http, one, *one.states)

    async def _say(self, http, one):
        one.waits = one.waits or (f"m-{one.number}-{one.turns}", one.text())
        id, text = one.waits
        if "resolved" in one.states:
            one.states |= {"bot"}
        if text == "/person" and "bot" in one.states:
            one.states |= {"pending"}
        found = await self._post(http, f"{_path(one)}/messages", {"text": text, "id": id}, one.token)
        if found.status_code == 503:
            return
        assert found.status_code == 200, found.text
        now = found.json()
        assert now["message"]["id"] == id and now["message"]["text"] == text
        assert now["conversation"]["state"] in one.states, (now, one)
        one.said.append(id)
        one.told |= {reply["number"]: (reply["answers"], reply["text"]) for reply in now["replies"]}
        one.waits, one.states = (), {now["conversation"]["state"]}

    async def _act(self, http, one, state):
        act = {"pending": ("take", "leave"), "human": ("resolve", "return"), "resolved": ("reopen",)}[state]
        what = act[one.turns % len(act)]
        one.states = {state, TARGETS.get(what, "bot")}
        own = what in ("leave", "reopen")
        path = _path(one) if own else f"/v1/desk/conversations/{one.id}"
        found = await self._post(http, f"{path}/acts", {"act": what}, one.token if own else self.key)
        assert found.status_code == 200, found.text
        one.states = {found.json()["state"]}

    async def _post(self, http, path, body, token):
        found = await http.post(path, json=body, headers=_bearer(token) if token else {})
        self.acknowledged += found.status_code < 300
        return found


def _path(one):
    return f"/v1/chat/conversations/{one.id}"


def _bearer(token):
    return {"Authorization": f"Bearer {token}"}


def check(connection, one):
    """That the store has of a customer's conversation what was acknowledged, each once, and answered once."""
    kept = conversations.transcript(connection, one.id)
    ids = [message.id for message in kept if message.author == "visitor"]
    assert ids == one.said, "what was sent until it was acknowledged is there, once, in order"
    answers = Counter(message.answers for message in kept if message.author != "visitor" and message.answers)
    assert all(count == 1 for count in answers.values()), "none is answered twice"
    shown = {message.number: (message.answers, message.text) for message in kept}
    assert all(shown[number] == what for number, what in one.told.items()), "what was told stays as it was told"
    assert {conversations.get(connection, one.id).state} == one.states
