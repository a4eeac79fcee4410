"""Conversations with customers: what was said, who looks after them, what they remember. Texts arrive here masked.

A conversation is opened by a token that its customer holds; only the token's digest is kept. What changes state or
context says which version it saw, so that two who act at once do not overwrite each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, and_, exists, func, insert, or_, select, update

from metier.errors import DataError
from metier.store import bulk
from metier.store.columns import clean
from metier.store.support_tables import conversations, messages

STATES = ("bot", "pending", "human", "resolved")
AUTHORS = ("visitor", "bot", "agent", "system")


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it is kept.

    Args:
        id: its id.
        visitor: the digest of the token of its customer.
        state: `bot`, `pending` (waits for a person), `human`, `resolved`.
        opened, last: when it was opened and when something was said in it last.
        channel: where its customer writes: `web`, or the name of a webhook.
        language: `en`, `zh`, or empty: not known yet.
        queued: since when it waits for a person.
        agent: the name of the person who looks after it.
        seen: when that person was last there.
        context: what the next message is understood by, as JSON has it.
        version: goes up with every change of state or context.
        rating: what the customer said of it, 1 to 5; `remark`, in words.
        erased: when its texts were erased.
    """

    id: str
    visitor: str
    state: str
    opened: float
    last: float
    channel: str = "web"
    language: str = ""
    queued: float | None = None
    agent: str | None = None
    seen: float | None = None
    context: Any = None
    version: int = 0
    rating: int | None = None
    remark: str = ""
    erased: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What somebody said.

    Args:
        id: given by who sends it: the same message sent twice is kept once.
        conversation: where.
        author: `visitor`, `bot`, `agent` or `system`.
        text: masked.
        at: when.
        name: of the agent.
        answers: the number of the message that it answers.
        tier, intent, reply: of the bot: which tier answered what, and the rest of `Reply`, as JSON has it.
        outside: of the bot: whether what it answers most likely lies outside of what is known.
        number: the place among all messages; given by the store.
    """

    id: str
    conversation: str
    author: str
    text: str
    at: float
    name: str = ""
    answers: int | None = None
    tier: str | None = None
    intent: str | None = None
    outside: bool = False
    reply: Any = None
    number: int = 0


def digest(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def open_one(connection: Connection, conversation: Conversation) -> None:
    """Keeps a new conversation; one that is there stays as it is."""
    bulk.add(connection, conversations, bulk.columns_of([conversation]))


def get(connection: Connection, id: str) -> Conversation | None:
    """One conversation."""
    row = connection.execute(select(conversations).where(conversations.c.id == clean(id))).first()
    return None if row is None else bulk.read_as(Conversation, row)


def change(connection: Connection, was: Conversation, /, **values: Any) -> Conversation | None:
    """Sets columns of a conversation that is still as it was seen; `None` where somebody else was faster."""
    statement = (
        update(conversations)
        .where(conversations.c.id == was.id, conversations.c.version == was.version)
        .values(**values, version=was.version + 1)
        .returning(*conversations.c)
    )
    row = connection.execute(statement).first()
    return None if row is None else bulk.read_as(Conversation, row)


def say(connection: Connection, message: Message) -> Message:
    """Keeps a message, once; as it is kept, with its number.

    Raises:
        DataError: for an author that there is not.
    """
    if message.author not in AUTHORS:
        raise DataError(f"There is no author {message.author!r}.", expected=", ".join(AUTHORS))
    # Who says something in a conversation waits for who does so at the same time, so that the numbers of a conversation
    # become visible in their order: whoever has read up to one has missed none before it. SQLite has one writer anyway.
    if connection.dialect.name == "postgresql":
        own = select(conversations.c.id).where(conversations.c.id == clean(message.conversation))
        connection.execute(own.with_for_update())
    there = find(connection, message.conversation, message.id)
    if there is not None:
        return there
    row = next(bulk.columns_of([message], "number"))
    number = connection.execute(insert(messages).values(row).returning(messages.c.number)).scalar_one()
    connection.execute(
        update(conversations).where(conversations.c.id == message.conversation, conversations.c.last < message.at)
        .values(last=message.at)
    )  # fmt: skip
    return Message(**row, number=number)


def find(connection: Connection, conversation: str, id: str) -> Message | None:
    """A message by the id that its sender gave it."""
    where = and_(messages.c.conversation == clean(conversation), messages.c.id == clean(id))
    row = connection.execute(select(messages).where(where)).first()
    return None if row is None else bulk.read_as(Message, row)


def transcript(connection: Connection, conversation: str, after: int = 0, limit: int | None = None) -> list[Message]:
    """What was said in a conversation behind message number `after`, in order."""
    statement = select(messages).where(messages.c.conversation == clean(conversation), messages.c.number > after)
    return _messages(connection, statement.order_by(messages.c.number).limit(limit))


def latest(connection: Connection, conversation: str, limit: int) -> list[Message]:
    """The last messages of a conversation, in order."""
    statement = select(messages).where(messages.c.conversation == clean(conversation))
    return _messages(connection, statement.order_by(messages.c.number.desc()).limit(limit))[::-1]


def is_answered(connection: Connection, number: int) -> bool:
    """Whether message `number` has an answer."""
    return (
        connection.execute(select(messages.c.number).where(messages.c.answers == number).limit(1)).first() is not None
    )


def unanswered(connection: Connection, before: float, since: float = 0.0) -> list[Message]:
    """What customers said to the bot from `since` to before a time and had no answer to: a process was killed in
    between."""
    answer, later = messages.alias(), messages.alias()  # what a person has read meanwhile is not the bot's any more
    statement = (
        select(messages)
        .join(conversations, conversations.c.id == messages.c.conversation)
        .where(messages.c.author == "visitor", messages.c.at < before, messages.c.at >= since,
               conversations.c.state == "bot",
               ~exists().where(answer.c.answers == messages.c.number),
               ~exists().where(later.c.conversation == messages.c.conversation, later.c.number > messages.c.number,
                               later.c.author.in_(("agent", "system"))))
        .order_by(messages.c.number)
    )  # fmt: skip
    return _messages(connection, statement)


def since(connection: Connection, after: int, limit: int = 1_000) -> list[tuple[int, str, float]]:
    """`(number, conversation, at)` of what was said anywhere behind message number `after`, in order."""
    own = messages.c
    statement = select(own.number, own.conversation, own.at).where(own.number > after).order_by(own.number).limit(limit)
    return [(row.number, row.conversation, row.at) for row in connection.execute(statement)]


def last_number(connection: Connection) -> int:
    """The number of the last message anywhere; 0: there is none."""
    return int(connection.execute(select(func.coalesce(func.max(messages.c.number), 0))).scalar_one())


def aged(connection: Connection, before: float, limit: int) -> list[str]:
    """The ids of conversations in which nobody has said anything since a time, no person is needed, and that are not
    erased; the oldest first."""
    table = conversations.c
    over = and_(table.last < before, table.state.in_(("bot", "resolved")), table.erased.is_(None))
    statement = select(table.id).where(over).order_by(table.last, table.id).limit(limit)
    return list(connection.execute(statement).scalars())


def queue(connection: Connection) -> list[Conversation]:
    """Those that wait for a person, who waits longest first."""
    statement = select(conversations).where(conversations.c.state == "pending")
    return _conversations(connection, statement.order_by(conversations.c.queued, conversations.c.id))


def position(connection: Connection, conversation: Conversation) -> int:
    """The place in the queue, from 1; 0 where it does not wait."""
    if conversation.state != "pending" or conversation.queued is None:
        return 0
    table = conversations.c
    before = or_(
        table.queued < conversation.queued, and_(table.queued == conversation.queued, table.id < conversation.id)
    )
    statement = select(func.count()).select_from(conversations).where(table.state == "pending", before)
    return int(connection.execute(statement).scalar_one()) + 1


def of_agent(connection: Connection, agent: str) -> list[Conversation]:
    """Those that a person looks after, the one where something was said last first."""
    statement = select(conversations).where(conversations.c.agent == clean(agent), conversations.c.state == "human")
    return _conversations(connection, statement.order_by(conversations.c.last.desc(), conversations.c.id))


def left(connection: Connection, before: float) -> list[Conversation]:
    """Those whose person was last there before a time."""
    table = conversations.c
    statement = select(conversations).where(table.state == "human", func.coalesce(table.seen, table.last) < before)
    return _conversations(connection, statement.order_by(table.id))


def listing(
    connection: Connection, *, states: Sequence[str] | None = None, visitor: str | None = None,
    before: tuple[float, str] | None = None, limit: int = 100,
) -> list[Conversation]:  # fmt: skip
    """Conversations, the one where something was said last first: in these states, of one customer, behind the
    `(last, id)` of the last one that was seen."""
    table = conversations.c
    statement = select(conversations).order_by(table.last.desc(), table.id.desc()).limit(limit)
    if states is not None:
        statement = statement.where(table.state.in_(states))
    if visitor is not None:
        statement = statement.where(table.visitor == visitor)
    if before is not None:
        last, id = before
        statement = statement.where(or_(table.last < last, and_(table.last == last, table.id < clean(id))))
    return _conversations(connection, statement)


def questions(connection: Connection, since: float, until: float) -> Iterator[Message]:
    """What customers said from `since` to before `until`, with texts that are not erased, in order."""
    statement = select(messages).where(
        messages.c.author == "visitor", messages.c.at >= since, messages.c.at < until, messages.c.text != ""
    )
    return bulk.read_each(Message, connection, statement.order_by(messages.c.number))


def _messages(connection: Connection, statement: Select[Any]) -> list[Message]:
    return list(bulk.read_each(Message, connection, statement))


def _conversations(connection: Connection, statement: Select[Any]) -> list[Conversation]:
    return list(bulk.read_each(Conversation, connection, statement))
