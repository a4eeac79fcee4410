"""Outside channels: what they send is theirs where its signature says so, is fresh, and counts once."""

from __future__ import annotations

import hashlib
import hmac
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from metier.apps.hooks import Hook, signature, signing_key
from metier.apps.support.settings import ChannelPart
from metier.apps.support.support import Support
from metier.errors import RecipeError
from metier.serve.problems import Problem
from metier.store import conversations

if TYPE_CHECKING:
    from metier.store.conversations import Conversation

logger = logging.getLogger(__name__)
OLDEST = 300.0
"""Seconds between the time in a signature and now, either way."""
SHORTEST = 16
"""Characters of a secret."""


@dataclass(frozen=True)
class Channel:
    """A channel with its secret, which `repr` does not show."""

    name: str
    hook: Hook
    secret: str = field(repr=False)


class Channels:
    """The channels of the settings.

    Args:
        parts: as the settings have them.
        clock: seconds since 1970.

    Raises:
        RecipeError: where the environment lacks a secret, or it is short enough to be guessed.
    """

    def __init__(self, parts: Sequence[ChannelPart], clock: Callable[[], float]) -> None:
        self.each = {part.name: _channel(part) for part in parts}
        self._clock = clock

    def require(self, name: str, headers: Mapping[str, str], content: bytes) -> Channel:
        """The channel that sent something. Raises `Problem` 401 where none can have."""
        channel = self.each.get(name)
        id, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
        # A name that there is not takes the same way: who asks learns nothing of which there are.
        expected = signature(channel.secret if channel else "nobody's", id, at, content)
        given = headers.get("webhook-signature", "").split()
        same = [hmac.compare_digest(one.encode(), expected.encode()) for one in given]
        fresh = at.isascii() and at.isdigit() and len(at) < 16 and abs(self._clock() - int(at)) <= OLDEST
        if channel is None or not any(same) or not fresh:
            raise Problem(401, "The signature is not of this channel, or its time is not now (webhook-signature).")
        return channel


def _channel(part: ChannelPart) -> Channel:
    secret = os.environ.get(part.secret_env, "")
    if len(secret) < SHORTEST:
        found = "is not set" if not secret else f"has {len(secret)} characters"
        raise RecipeError(
            f"The channel {part.name!r} signs with the environment variable {part.secret_env}, which {found}.",
            expected=f"at least {SHORTEST} random characters", hint="openssl rand -hex 24",
        )  # fmt: skip
    signing_key(secret)  # a secret that is written wrongly is told now
    return Channel(part.name, Hook(part.url, secret=secret, allow_private=part.allow_private), secret)


def conversation_of(support: Support, channel: Channel, outside: str, language: str) -> Conversation:
    """The conversation that a channel calls `outside`: opened where there is none, or the last one was erased.

    What the channel calls it may be a telephone number: it stands where erasure takes it away, and the id, which stays,
    is a keyed hash of it.
    """
    visitor = visitor_of(channel.name, outside)
    with support.store.read() as connection:
        found = conversations.listing(connection, visitor=visitor, limit=1)
    if found and found[0].erased is None:
        return found[0]
    for number in range(1_000):
        told = f"{number}:{visitor}".encode("utf-8", "replace")
        id = hmac.new(channel.secret.encode(), told, hashlib.sha256).hexdigest()[:32]
        with support.store.read() as connection:
            there = conversations.get(connection, id)
        if there is None:
            support.open(channel.name, language, id=id, visitor=visitor)
            return support.get(id)
        if there.erased is None:
            return there
    raise Problem(422, "This conversation was erased too often.")


def visitor_of(channel: str, outside: str) -> str:
    """How a customer of a channel is kept; no digest of a token looks like it."""
    return f"channel:{channel}:{outside}"


def outside_of(conversation: Conversation) -> str:
    """What a channel calls a conversation; empty where it was erased."""
    return conversation.visitor.removeprefix(f"channel:{conversation.channel}:")
