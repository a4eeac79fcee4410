"""What a conversation is told of itself: where in the queue it is, that a person came, went, or ended it."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import Connection

from metier.apps.support.answer.words import say
from metier.apps.support.conversation import Act
from metier.apps.support.hours import Hours
from metier.store import conversations
from metier.store.conversations import Conversation, Message
from metier.types import new_id

Words = Callable[[Connection, Conversation], Message]
"""What is said of a change, in the transaction that makes it."""
SAID = {"take": "joined", "lost": "requeued", "hand_back": "handed_back", "resolve": "resolved"}
"""Acts that are told, and in which words."""


def answer_id(number: int) -> str:
    """The id of the house's answer to message `number`: of two processes that give one, one's is kept. No customer's
    side can give a message this id."""
    return f"answer/{number}"


def queued(hours: Hours, now: float, answers: int | None = None, language: str = "") -> Words:
    """Of a customer who waits: where in the queue, or when people are there again.

    Args:
        hours: when they are there.
        now: seconds since 1970.
        answers: the number of the message that led to the queue.
        language: of the customer; empty: the conversation's.
    """

    def told(connection: Connection, waits: Conversation) -> Message:
        spoken = language or waits.language or "en"
        if hours.is_open(now):
            text = say("queued", spoken, position=conversations.position(connection, waits))
        else:
            opens = hours.opens(now)
            when = "" if opens is None else datetime.fromtimestamp(opens, hours.zone).strftime("%Y-%m-%d %H:%M %Z")
            text = say("closed", spoken, opens=when) if when else say("closed_long", spoken)
        id = new_id() if answers is None else answer_id(answers)
        return Message(id, waits.id, "system", text, now, answers=answers, tier="handover")

    return told


def announced(what: Act, agent: str, now: float) -> Words | None:
    """Of an act of a person; none: nobody has to be told."""
    if what not in SAID:
        return None

    def told(connection: Connection, changed: Conversation) -> Message:
        text = say(SAID[what], changed.language or "en", name=agent)
        return Message(new_id(), changed.id, "system", text, now)

    return told
