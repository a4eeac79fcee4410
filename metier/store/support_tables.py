"""The tables of customer service: what is known, what was said, what waits for review. Times are seconds since 1970."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint

from metier.store.columns import Json, Key, Real, Whole, Words
from metier.store.schema import counted, flag, keyed, metadata, timed, whole, worded

# -- what is known -----------------------------------------------------------------------------------------------
entries = Table(
    "entries",
    metadata,
    Column("id", Key, primary_key=True),
    worded("question"),
    worded("answer"),
    Column("others", Json, nullable=False),  # the same question in other words
    keyed("intent"),
    keyed("category"),
    keyed("language"),
    keyed("source"),  # faq, history, review, person
    flag("active", True),
    whole("revision"),
    whole("turn"),  # of the whole knowledge, when this entry last changed: indexes follow it
    timed("at"),
    worded("by"),
    Index(None, "turn"),
    Index(None, "category"),
)
entry_revisions = Table(
    "entry_revisions",
    metadata,
    Column("entry", Key, primary_key=True),
    Column("revision", Whole, primary_key=True, autoincrement=False),
    Column("content", Json),  # none: the entry was not there
    Column("promotion", Key),
    timed("at"),
    worded("by"),
    Index(None, "promotion"),
)
candidates = Table(
    "candidates",
    metadata,
    Column("id", Key, primary_key=True),
    keyed("kind"),  # correction, answer, thumb, gap
    keyed("state"),  # waiting, approved, promoted, refused
    worded("question"),
    worded("answer"),
    Column("entry", Key),  # that it would change; none: a new one
    Column("conversation", Key),
    Column("message", Whole),
    Column("near", Json),  # entries that are nearly the same
    Column("reasons", Json),  # why it was refused or promoted, with the figures
    whole("repeated"),  # by how many others the same was said
    worded("who"),
    timed("at"),
    Column("decided_by", Words),
    Column("decided_at", Real),
    Index(None, "state", "at"),
    Index(None, "conversation"),
)
promotions = Table(
    "promotions",
    metadata,
    Column("id", Key, primary_key=True),
    keyed("verdict"),  # promoted, refused, rolled_back
    Column("candidates", Json, nullable=False),
    Column("report", Json),
    timed("at"),
    worded("by"),
    Column("rolled_back_at", Real),
    Column("rolled_back_by", Words),
    Index(None, "at"),
)

# -- what was said -----------------------------------------------------------------------------------------------
conversations = Table(
    "conversations",
    metadata,
    Column("id", Key, primary_key=True),
    keyed("visitor"),  # the digest of the token that opens it
    keyed("channel"),
    keyed("language"),
    keyed("state"),  # bot, pending, human, resolved
    timed("opened"),
    timed("last"),  # when something was said in it
    Column("queued", Real),  # since when it waits for a person
    Column("agent", Key),
    Column("seen", Real),  # when the agent was last there
    Column("context", Json),
    whole("version"),  # of state and context; who changes them says which one was seen
    Column("rating", Whole),
    worded("remark"),
    Column("erased", Real),
    Index(None, "state", "queued"),
    Index(None, "visitor", "last"),
    Index(None, "agent", "state"),
    Index(None, "last"),
)
messages = Table(
    "messages",
    metadata,
    counted(),
    keyed("id"),
    Column("conversation", Key, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    keyed("author"),  # visitor, bot, agent, system
    worded("name"),
    worded("text"),  # masked
    timed("at"),
    Column("answers", Whole),  # the number of the message that this one answers
    Column("tier", Key),
    Column("intent", Key),
    flag("outside", False),  # whether it answers what lies outside of what is known
    Column("reply", Json),
    UniqueConstraint("conversation", "id"),
    Index(None, "conversation", "number"),
    Index(None, "at"),
    Index(None, "answers"),
    sqlite_autoincrement=True,
)
erasures = Table(
    "erasures",
    metadata,
    Column("id", Key, primary_key=True),
    timed("at"),
    worded("by"),
    whole("conversations"),
    whole("messages"),
)
deliveries = Table(
    "deliveries",
    metadata,
    counted(),  # messages on their way to an outside channel, in their order
    keyed("channel"),
    Column("conversation", Key, ForeignKey("conversations.id", ondelete="CASCADE"), nullable=False),
    Column("message", Whole, nullable=False),
    keyed("state"),  # waiting, sent, given_up
    whole("tries"),
    timed("again"),
    worded("fault"),
    UniqueConstraint("channel", "message"),
    Index(None, "state", "again"),
    sqlite_autoincrement=True,
)
