"""What customers and people say of an answer, as training and review read it."""

from __future__ import annotations

import hashlib

from sqlalchemy import Connection

from metier.apps.support.support import Support
from metier.serve.support.schema import Verdict
from metier.store import conversations, interactions
from metier.store.conversations import Message
from metier.types import Interaction

APP = "support"


def answer(connection: Connection, conversation: str, number: int) -> Message | None:
    """An answer of the bot or of a person by its number; `None`: there is none in this conversation."""
    found = conversations.transcript(connection, conversation, number - 1, 1)
    return found[0] if found and found[0].number == number and found[0].author in ("bot", "agent") else None


def judge(support: Support, message: Message, who: str, said: Verdict, now: float) -> str:
    """Keeps a verdict, once however often it is sent; its id. Private data in what was written is masked.

    Raises `DataError` for a correction that is missing or has no place.
    """
    correction = None if said.correction is None else support.masked(said.correction)
    reply = message.reply or {}
    shown = {"text": message.text, "tier": message.tier, "entry": reply.get("entry", ""), "answers": message.answers,
             "conversation": message.conversation}  # fmt: skip
    same = "\x1f".join((message.conversation, str(message.number), who, said.verdict, correction or "", said.comment))
    id = hashlib.blake2b(same.encode("utf-8", "replace"), digest_size=16).hexdigest()
    made = Interaction(
        APP, "message", str(message.number), said.verdict, who, now, head=message.tier or "", prediction=shown,
        correction=correction, shown=message.at, version=str(reply.get("version", "")),
        comment=support.masked(said.comment), id=id,
    )  # fmt: skip
    support.store.run(lambda connection: interactions.add(connection, [made]))
    return id
