"""Conversations and messages as customers and people see them."""

from __future__ import annotations

from typing import Any

from metier.store.conversations import Conversation, Message

SHOWN = ("citations", "buttons", "waiting", "language")
"""What a customer sees of a reply beside its words and its tier."""


def customer_row(conversation: Conversation, position: int) -> dict[str, Any]:
    """A conversation as its customer sees it."""
    return {
        "id": conversation.id, "state": conversation.state, "agent": conversation.agent, "position": position,
        "language": conversation.language, "opened": conversation.opened, "last": conversation.last,
        "rating": conversation.rating,
    }  # fmt: skip


def desk_row(conversation: Conversation, now: float, warn: float) -> dict[str, Any]:
    """A conversation as people see it; `late`: its customer waits for longer than the service level allows."""
    waits = None if conversation.state != "pending" or conversation.queued is None else now - conversation.queued
    return {
        **customer_row(conversation, 0), "channel": conversation.channel, "queued": conversation.queued,
        "waits": waits, "late": waits is not None and waits > warn, "seen": conversation.seen,
        "remark": conversation.remark, "erased": conversation.erased,
    }  # fmt: skip


def message_row(message: Message) -> dict[str, Any]:
    """A message as its customer sees it."""
    reply = message.reply or {}
    return {
        "number": message.number, "id": message.id, "author": message.author, "name": message.name,
        "text": message.text, "at": message.at, "answers": message.answers, "tier": message.tier,
        "reply": {name: reply[name] for name in SHOWN if reply.get(name)},
    }  # fmt: skip


def desk_message_row(message: Message) -> dict[str, Any]:
    """A message as people see it: with what the bot made of it."""
    return {**message_row(message), "intent": message.intent, "outside": message.outside, "reply": message.reply or {}}
