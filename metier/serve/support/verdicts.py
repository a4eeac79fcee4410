"""What customers and people say of an answer, as training and review read it."""

from __future__ import annotations

from sqlalchemy import Connection

from metier.apps.support.learn.review import Opinion, Review
from metier.apps.support.support import Support
from metier.serve.support.schema import Verdict
from metier.store import conversations
from metier.store.conversations import Message


def answer(connection: Connection, conversation: str, number: int) -> Message | None:
    """An answer of the bot or of a person by its number; `None`: there is none in this conversation."""
    found = conversations.transcript(connection, conversation, number - 1, 1)
    return found[0] if found and found[0].number == number and found[0].author in ("bot", "agent") else None


def judge(support: Support, review: Review, message: Message, who: str, said: Verdict) -> str:
    """Keeps a verdict, once however often it is sent, and puts what it proposes into the review queue; its id. Private
    data in what was written is masked.

    Raises `DataError` for a correction that is missing or has no place, or a message that answers nothing.
    """
    correction = "" if said.correction is None else support.masked(said.correction)
    told = Opinion(said.verdict, who, correction, support.masked(said.comment))
    return review.judge(message.conversation, message.number, told).id
