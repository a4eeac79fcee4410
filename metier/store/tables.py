"""All tables of the house, in one `MetaData`. Times are seconds since 1970, UTC.

Whoever changes a table writes a revision in `migrations/versions`, and raises `migrate.HEAD`.
"""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, Table, UniqueConstraint, text

from metier.store.columns import Json, Key, Packed, Real, Whole, Words
from metier.store.schema import counted, flag, keyed, metadata, real, timed, whole, worded

# -- what came in ------------------------------------------------------------------------------------------------
documents = Table(
    "documents",
    metadata,
    counted(),  # the order of arrival, which a replay follows
    keyed("id", unique=True),
    worded("source"),
    worded("text"),
    timed("time"),
    timed("received"),
    worded("url"),
    worded("language"),
    Column("meta", Json),
    worded("version"),  # of the run that understood it
    Column("topics", Json),
    Column("sentiment", Json),
    Column("story", Key),
    Column("subject", Key),  # the person or customer whose text it is, where it is somebody's
    Column("erased", Real),
    Column("tick", Real),  # the start of the one that it counts in; none where it came too late
    Column("vector", Packed),
    Index(None, "time", "id"),
    Index(None, "tick"),
    Index(None, "story"),
    Index(None, "subject"),
    sqlite_autoincrement=True,
)
stories = Table(
    "stories",
    metadata,
    Column("id", Key, primary_key=True),
    Column("document", Key),  # the first one
    timed("first"),
    timed("last"),
    whole("heat"),
    Column("topics", Json),
    Column("sentiment", Json),
    Index(None, "last", "id"),
    Index(None, "first", "id"),
)
mentions = Table(
    "mentions",
    metadata,
    Column("document", Key, ForeignKey("documents.id", ondelete="CASCADE"), primary_key=True),
    Column("start", Whole, primary_key=True, autoincrement=False),
    Column("end", Whole, primary_key=True, autoincrement=False),
    Column("company", Key, primary_key=True),
    worded("surface"),
    worded("how"),
    Column("score", Real, nullable=False, server_default=text("1")),
    Column("sentiment", Json),
    Index(None, "company"),
)
unlinked = Table(
    "unlinked",
    metadata,
    Column("surface", Key, primary_key=True),
    whole("count"),
    timed("last"),
)
pins = Table(
    "pins",
    metadata,
    Column("kind", Key, primary_key=True),  # document or story
    Column("subject", Key, primary_key=True),
    Column("by", Key, primary_key=True),  # alert:ID, interaction:ID, person:NAME
    Index(None, "by"),
)
positions = Table("positions", metadata, Column("source", Key, primary_key=True), worded("position"), timed("at"))
quarantine = Table(
    "quarantine",
    metadata,
    counted(),
    keyed("source"),
    worded("raw"),
    worded("reason"),
    timed("at"),
    Column("replayed", Real),
    Index(None, "at"),
    sqlite_autoincrement=True,
)

# -- what was counted --------------------------------------------------------------------------------------------
ticks = Table(
    "ticks",
    metadata,
    Column("topic", Key, primary_key=True),
    Column("company", Key, primary_key=True),
    Column("start", Real, primary_key=True),
    whole("stories"),
    whole("negatives"),
    whole("uncertain"),
    real("sentiment"),
    whole("heat"),
    whole("total"),
    flag("open", True),
    Column("signal", Json),
    Index(None, "start"),
    sqlite_with_rowid=False,
)
series = Table(
    "series",
    metadata,
    Column("topic", Key, primary_key=True),
    Column("company", Key, primary_key=True),
    Column("state", Json),
    Column("packed", Packed),
    timed("at"),
)
stages = Table(
    "stages",
    metadata,
    Column("name", Key, primary_key=True),
    Column("state", Json),
    Column("packed", Packed),
    timed("at"),
)

# -- what was said -----------------------------------------------------------------------------------------------
alerts = Table(
    "alerts",
    metadata,
    Column("id", Key, primary_key=True),
    keyed("topic"),
    keyed("company"),
    keyed("state"),
    worded("severity"),
    timed("since"),
    timed("last"),
    Column("fired", Real),
    Column("resolved", Real),
    Column("labels", Json),
    Column("evidence", Json),
    Column("details", Json),
    Column("owner", Words),
    Column("acknowledged_by", Words),
    Column("acknowledged_at", Real),
    Column("snoozed_until", Real),
    Column("verdict", Words),
    Column("verdict_by", Words),
    Column("verdict_at", Real),
    Index(None, "state", "since"),
    Index(None, "topic", "company", "since"),
    Index(None, "since", "id"),
)
silences = Table(
    "silences",
    metadata,
    Column("id", Key, primary_key=True),
    Column("matchers", Json, nullable=False),
    timed("starts"),
    timed("ends"),
    worded("by"),
    worded("comment"),
    Index(None, "ends"),
)
notices = Table(
    "notices",
    metadata,
    Column("id", Key, primary_key=True),
    keyed("receiver"),
    Column("body", Json, nullable=False),
    Column("alerts", Json),
    timed("at"),
    keyed("state"),
    whole("tries"),
    real("again"),
    Column("sent", Real),
    worded("fault"),
    Index(None, "state", "receiver", "at"),
)
watchlists = Table(
    "watchlists",
    metadata,
    Column("id", Key, primary_key=True),
    worded("name"),
    keyed("owner"),
    Column("topics", Json, nullable=False),
    Column("companies", Json, nullable=False),
    timed("at"),
    Index(None, "owner"),
)
missed = Table(
    "missed",
    metadata,
    Column("id", Key, primary_key=True),
    keyed("topic"),
    keyed("company"),
    timed("starts"),
    timed("ends"),
    worded("who"),
    timed("at"),
    worded("comment"),
    Column("documents", Json, nullable=False),
    Index(None, "starts"),
)

# -- what came back ----------------------------------------------------------------------------------------------
interactions = Table(
    "interactions",
    metadata,
    counted(),
    keyed("id", unique=True),
    keyed("app"),
    keyed("kind"),
    keyed("subject"),
    worded("head"),
    Column("prediction", Json),
    Column("shown", Real),
    keyed("verdict"),
    Column("correction", Json),
    worded("who"),
    timed("at"),
    worded("version"),
    worded("comment"),
    Index(None, "kind", "subject"),
    Index(None, "app", "at"),
    sqlite_autoincrement=True,
)
audit = Table(
    "audit",
    metadata,
    Column("number", Whole, primary_key=True, autoincrement=False),
    timed("at"),
    keyed("who"),
    keyed("what"),
    keyed("kind"),
    keyed("subject"),
    worded("details"),  # canonical JSON, as its hash covers it
    worded("previous"),
    worded("hash"),
    Index(None, "kind", "subject"),
    Index(None, "at"),
)

# -- who may -----------------------------------------------------------------------------------------------------
people = Table(
    "people",
    metadata,
    Column("name", Key, primary_key=True),
    worded("password"),  # an argon2id hash; empty: comes in by single sign-on alone
    keyed("role"),
    flag("active", True),
    timed("at"),
)
sessions = Table(
    "sessions",
    metadata,
    Column("digest", Key, primary_key=True),
    Column("person", Key, ForeignKey("people.name", ondelete="CASCADE"), nullable=False),
    timed("at"),
    timed("expires"),
    Index(None, "person"),
    Index(None, "expires"),
)
keys = Table(
    "keys",
    metadata,
    Column("digest", Key, primary_key=True),
    keyed("name"),
    keyed("role"),
    timed("at"),
    Column("expires", Real),
    UniqueConstraint("name"),
)
attempts = Table(
    "attempts", metadata, counted(), keyed("key"), timed("at"), Index(None, "key", "at"), sqlite_autoincrement=True
)
