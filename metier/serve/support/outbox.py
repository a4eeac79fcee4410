"""Answers on their way to an outside channel: in the order of their conversation, tried again until they arrived.

What was sent is written down afterwards: killed in between, it is sent again, with the same `webhook-id`.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from metier.apps.hooks import Answer, Webhook
from metier.serve.support.channels import Channel, outside_of
from metier.serve.support.views import message_row
from metier.store import conversations, deliveries
from metier.store.deliveries import Delivery
from metier.store.store import Store

logger = logging.getLogger(__name__)
TRIES, LONGEST = 20, 600.0
"""Tries before one is given up; seconds between two at most: about two and a half hours."""
LEASE = 60.0
"""Seconds for which a delivery that is being tried is nobody else's."""
ROUND = 50


class Outbox:
    """Delivers to one channel; called again and again, by one thread.

    Args:
        store: an open store.
        channel: with its secret.
        clock: seconds since 1970.
    """

    def __init__(self, store: Store, channel: Channel, clock: Callable[[], float] = time.time) -> None:
        self._store, self._channel, self._clock = store, channel, clock
        self._hook = Webhook(channel.hook, clock)

    def __call__(self) -> None:
        """Tries everything whose time has come."""
        while True:
            with self._store.read() as connection:
                due = deliveries.due(connection, self._clock(), ROUND, self._channel.name)
            if not [one for one in due if self._try(one)]:
                return

    def close(self) -> None:
        """Lets the connections go."""
        self._hook.close()

    def _try(self, one: Delivery) -> bool:
        """Whether the next of the same conversation may be tried."""
        until = self._clock() + LEASE
        if not self._store.run(lambda connection: deliveries.claim(connection, one, until)):
            return False
        body = self._body(one)
        if body is None:
            return self._done(one, "given_up", "the conversation was erased")
        answer = self._hook.send(str(body["id"]), body)
        if answer.taken:
            return self._done(one, "sent", "")
        if not answer.again or one.tries + 1 >= TRIES:
            logger.warning("a message to the channel %s is given up: %s", self._channel.name, answer.fault)
            return self._done(one, "given_up", answer.fault)
        return self._later(one, answer)

    def _body(self, one: Delivery) -> dict[str, Any] | None:
        with self._store.read() as connection:
            conversation = conversations.get(connection, one.conversation)
            found = conversations.transcript(connection, one.conversation, one.message - 1, 1)
        if conversation is None or conversation.erased is not None or not found or found[0].number != one.message:
            return None
        return {
            "conversation": outside_of(conversation), **message_row(found[0]), "state": conversation.state,
            "id": f"{one.conversation}:{one.message}",
        }  # fmt: skip

    def _done(self, one: Delivery, state: str, fault: str) -> bool:
        self._store.run(lambda connection: deliveries.done(connection, one.number, state, fault=fault))
        return True

    def _later(self, one: Delivery, answer: Answer) -> bool:
        again = self._clock() + max(answer.wait, min(float(2**one.tries), LONGEST))
        self._store.run(
            lambda connection: deliveries.done(connection, one.number, "waiting", again=again, fault=answer.fault)
        )
        return False
