"""The parts of the service, as its routes find them."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

from fastapi import Depends, Request
from starlette.requests import HTTPConnection

from metier.apps.support.conversation import Act
from metier.apps.support.learn.review import Review
from metier.apps.support.settings import SupportSettings
from metier.apps.support.support import Exchange, Missing, Support
from metier.serve.doors.house import House
from metier.serve.problems import Problem
from metier.serve.support import views
from metier.serve.support.channels import Channels
from metier.serve.support.figures import Figures
from metier.serve.support.hub import Hub
from metier.serve.support.learning import learn
from metier.serve.support.pool import Pool
from metier.serve.support.rates import Rates, network
from metier.serve.support.settings import ServiceSettings
from metier.store import conversations, customers
from metier.store.conversations import Conversation, Message
from metier.store.customers import ErasedCustomer
from metier.store.store import Store
from metier.types import new_id

PAGE = 500
"""Messages of one answer."""
PRIVATE = {"WWW-Authenticate": 'Bearer realm="conversation"'}


class Office(House):
    """The parts of one service.

    Args:
        support: customer service over `store`.
        store: an open store.
        asked: the settings of customer service.
        settings: of the service.
        hub: that hears `support`.
        clock: seconds since 1970.
    """

    lead = ("Customer service", "客户服务")
    cookie = "metier-support-session"

    def __init__(
        self, support: Support, store: Store, asked: SupportSettings, settings: ServiceSettings, hub: Hub,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        super().__init__(store, settings, clock)
        self.settings: ServiceSettings = settings
        self.support, self.asked, self.hub = support, asked, hub
        self.pool = Pool(settings.workers, settings.waiting)
        self.messages = Rates(asked.service.per_minute, 60.0, "messages")
        self.openings = Rates(asked.service.opened_per_hour, 3600.0, "conversations of one address")
        self.channels = Channels(asked.channels, clock)
        self.figures = Figures(store, self.pool)
        parts = support.answerer.parts
        self.review = Review(store, parts.known, parts.encode, parts.understand, clock)

    # -- customers -----------------------------------------------------------------------------------------------
    def own(self, id: str, token: str) -> Conversation:
        """A customer's conversation. Raises `Missing`, whether there is none or it is somebody else's."""
        return self.support.of(id, token)

    def open(self, address: str, language: str) -> tuple[Conversation, str]:
        """A new conversation and its token. Raises `Problem` 429."""
        self.openings.take(network(address))
        return self.support.open(language=language)

    async def receive(self, id: str, text: str, message: str | None) -> Exchange:
        """What became of a customer's message. Raises `Problem` 429 or 503 before it is kept, else as
        `Support.receive`."""
        self.messages.take(id)
        found = await self.pool.run(lambda: self.support.receive(id, text, message or new_id()))
        if called(found):
            self.hub.changed(id)
        return found

    def replies(self, found: Exchange) -> list[Message]:
        """What was said to a message; also where it was answered before."""
        if found.replies:
            return list(found.replies)
        number = found.message.number
        behind = self.support.transcript(found.message.conversation, number, PAGE, plain=True)
        return [one for one in behind if one.answers == number and one.author != "agent"]

    def said(self, id: str, after: int) -> list[dict[str, Any]]:
        """What was said behind a number, as the customer sees it."""
        return [views.message_row(one) for one in self.support.transcript(id, after, PAGE, plain=True)]

    def state(self, conversation: Conversation) -> dict[str, Any]:
        """A conversation as its customer sees it, with the place in the queue."""
        if conversation.state != "pending":
            return views.customer_row(conversation, 0)
        with self.store.read() as connection:
            return views.customer_row(conversation, conversations.position(connection, conversation))

    def act(self, id: str, what: Act, who: str, agent: str = "") -> Conversation:
        """An act, told to who listens. Raises as `Support.act` does."""
        if what == "call":
            self.support.call(id)
            done = self.support.get(id)
        else:
            done = self.support.act(id, what, who, agent)
        if what == "resolve":
            learn(self.review, id)
        self.hub.changed(id)
        return done

    def of_customer(self, found: Conversation) -> list[str]:
        """The conversations of a customer: with a token there is one, a channel's customer may have several."""
        with self.store.read() as connection:
            own = conversations.listing(connection, visitor=found.visitor, limit=10_000) if found.visitor else []
        return list(dict.fromkeys([found.id, *(one.id for one in own)]))

    def erase(self, id: str, who: str) -> ErasedCustomer:
        """Erases all that the customer of a conversation said. Raises `Missing` where there is none any more."""
        found = self.support.get(id)
        if found.erased is not None:
            raise Missing("There is no such conversation.", expected="one that was not erased")
        ids = self.of_customer(found)
        done = customers.erase_customer(self.store, ids, who=who, now=self.clock())
        for one in ids:
            self.support.originals.forget(one)
            self.hub.changed(one)
        return done

    def sweep(self) -> None:
        """Puts back who was left alone, answers what was left without an answer."""
        if self.support.sweep():
            self.hub.queue_changed()

    # -- what `server.DrainingServer` asks -----------------------------------------------------------------------
    def drain(self) -> None:
        """From now on nothing new is taken, and who waits for news is sent home."""
        super().drain()
        self.hub.stop()

    @property
    def drained(self) -> bool:
        """Whether every message that was accepted is kept and answered."""
        return super().drained and not self.pool.taken


def called(found: Exchange) -> bool:
    """Whether a message led to the queue."""
    return any(one.tier == "handover" for one in found.replies)


def token_of(asked: HTTPConnection) -> str:
    """The token that a customer's side shows. Raises `Problem` 401 where it shows none."""
    scheme, _, token = asked.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Problem(401, "The conversation's token is needed: Authorization: Bearer TOKEN.", headers=PRIVATE)
    return token.strip()


def office_of(request: Request) -> Office:
    """The service that a request came to."""
    found: Office = request.app.state.console
    return found


def _own(request: Request, id: str) -> Conversation:
    return office_of(request).own(id, token_of(request))


At = Annotated[Office, Depends(office_of)]
Own = Annotated[Conversation, Depends(_own)]
