"""What the review queue learns of the desk: a question that the bot could not answer, and what a person said to it."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from metier.apps.support.learn.review import Review
from metier.errors import MetierError
from metier.store import conversations
from metier.store.conversations import Message
from metier.store.knowledge import Candidate

logger = logging.getLogger(__name__)
UNANSWERED = ("unknown", "clarify", "handover")
LOOKED = 200
"""Messages of a conversation that are looked at, the latest."""


def learn(review: Review, conversation: str) -> Candidate | None:
    """The candidate that a conversation which was resolved leaves; `None` where there is none, or it cannot be made."""
    with review.store.read() as connection:
        said = conversations.latest(connection, conversation, LOOKED)
    found = taught(said)
    if found is None:
        return None
    question, answer = found
    try:
        return review.learn_from(replace(answer, answers=question.number))
    except MetierError as error:  # the conversation is resolved all the same
        logger.warning("nothing is learned of a conversation: %s", error)
        return None


def taught(said: Sequence[Message]) -> tuple[Message, Message] | None:
    """The last question that the bot left open before a person answered, and the longest of what people said behind it.

    What a customer says to a person afterwards mostly goes on from there, and does not stand for itself.
    """
    open_ones = {one.answers for one in said if one.author != "agent" and one.tier in UNANSWERED}
    last = max((one.number for one in said if one.author == "agent"), default=0)
    before = [one for one in said if one.number in open_ones and one.number < last]
    asked = [one for one in before if one.text.strip() and not one.text.startswith("/")]
    if not asked:
        return None
    told = [one for one in said if one.author == "agent" and one.number > asked[-1].number and one.text.strip()]
    return (asked[-1], max(told, key=lambda one: len(one.text))) if told else None
