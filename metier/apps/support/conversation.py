"""The life of a conversation: the bot, the queue, a person, the end. Every step is one of a few, and typed.

    bot -> pending -> human -> resolved        forward
    pending -> bot                             its customer does not want to wait any more
    human -> pending                           the person gives it back, or went away
    human -> bot                               the person hands it to the bot
    pending, human -> resolved                 a person ends it
    resolved -> bot                            its customer writes again

No word in a text moves a conversation: only these acts do, each by somebody who may.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from metier.errors import MetierError
from metier.store.conversations import Conversation

Act = Literal["call", "leave", "take", "return", "lost", "hand_back", "resolve", "reopen"]


class Refused(MetierError):
    """An act that the state of a conversation does not allow, or that somebody else was faster with."""


@dataclass(frozen=True, slots=True)
class Step:
    """Where an act leads from and to, and who may: `visitor`, `agent`, or `system`."""

    sources: tuple[str, ...]
    target: str
    who: tuple[str, ...]


STEPS: dict[Act, Step] = {
    "call": Step(("bot",), "pending", ("visitor", "system")),
    "leave": Step(("pending",), "bot", ("visitor",)),
    "take": Step(("bot", "pending"), "human", ("agent",)),
    "return": Step(("human",), "pending", ("agent",)),
    "lost": Step(("human",), "pending", ("system",)),
    "hand_back": Step(("human", "pending"), "bot", ("agent",)),
    "resolve": Step(("human", "pending"), "resolved", ("agent",)),
    "reopen": Step(("resolved",), "bot", ("visitor",)),
}


def act(conversation: Conversation, what: Act, who: str, now: float, agent: str = "") -> dict[str, Any]:
    """What an act sets: the columns for `store.conversations.change`.

    Args:
        conversation: as it was seen.
        what: the act.
        who: `visitor`, `agent` or `system`.
        now: seconds since 1970.
        agent: the name of the person who acts.

    Raises:
        Refused: where the state does not allow it, somebody else looks after it, or it was erased.
    """
    step = STEPS[what]
    if who not in step.who:
        raise Refused(f"A {who} cannot {what.replace('_', ' ')}.", expected=" or ".join(step.who))
    if conversation.erased is not None:
        raise Refused("This conversation was erased.", expected="a new one")
    if conversation.state not in step.sources:
        raise Refused(
            f"The conversation is {conversation.state}, so nobody can {what.replace('_', ' ')} it.",
            expected=" or ".join(step.sources),
        )
    if conversation.state == "human" and who == "agent" and conversation.agent != agent:
        raise Refused(f"{conversation.agent} looks after this conversation.", hint="ask for it, or wait")
    return {"state": step.target, **_duties(step.target, conversation, now, agent)}


def _duties(target: str, conversation: Conversation, now: float, agent: str) -> dict[str, Any]:
    """Whose it is, and since when it waits, in a state. Who is given back keeps the place that was had."""
    if target == "pending":
        return {"queued": conversation.queued if conversation.queued is not None else now, "agent": None, "seen": None}
    if target == "human":
        return {"agent": agent, "seen": now, "queued": conversation.queued}
    return {"queued": None, "agent": None if target == "bot" else conversation.agent, "seen": None}
