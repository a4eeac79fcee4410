"""All tables of the house, in one `MetaData`. Times are seconds since 1970, UTC.

Whoever changes a table writes a revision in `migrations/versions`, and raises `migrate.HEAD`.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Boolean, Column, ForeignKey, Index, MetaData, Table, UniqueConstraint, false, text, true

from metier.store.columns import Json, Key, Packed, Real, Whole, Words

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=NAMES)


def _text(name: str) -> Column[Any]:
    return Column(name, Words, nullable=False, server_default="")


def _key(name: str, **more: Any) -> Column[Any]:
    return Column(name, Key, nullable=False, **more)


def _number(name: str) -> Column[Any]:
    return Column(name, Whole, nullable=False, server_default=text("0"))


def _real(name: str) -> Column[Any]:
    return Column(name, Real, nullable=False, server_default=text("0"))


def _time(name: str) -> Column[Any]:
    return Column(name, Real, nullable=False)


def _counted(name: str = "number") -> Column[Any]:
    return Column(name, Whole, primary_key=True, autoincrement=True)


def _flag(name: str, default: bool) -> Column[Any]:
    return Column(name, Boolean, nullable=False, server_default=true() if default else false())


# -- what came in ------------------------------------------------------------------------------------------------
documents = Table(
    "documents",
    metadata,
    _counted(),  # the order of arrival, which a replay follows
    _key("id", unique=True),
    _text("source"),
    _text("text"),
    _time("time"),
    _time("received"),
    _text("url"),
    _text("language"),
    Column("meta", Json),
    _text("version"),  # of the run that understood it
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
    _time("first"),
    _time("last"),
    _number("heat"),
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
    _text("surface"),
    _text("how"),
    Column("score", Real, nullable=False, server_default=text("1")),
    Column("sentiment", Json),
    Index(None, "company"),
)
unlinked = Table(
    "unlinked",
    metadata,
    Column("surface", Key, primary_key=True),
    _number("count"),
    _time("last"),
)
pins = Table(
    "pins",
    metadata,
    Column("kind", Key, primary_key=True),  # document or story
    Column("subject", Key, primary_key=True),
    Column("by", Key, primary_key=True),  # alert:ID, interaction:ID, person:NAME
    Index(None, "by"),
)
positions = Table("positions", metadata, Column("source", Key, primary_key=True), _text("position"), _time("at"))
quarantine = Table(
    "quarantine",
    metadata,
    _counted(),
    _key("source"),
    _text("raw"),
    _text("reason"),
    _time("at"),
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
    _number("stories"),
    _number("negatives"),
    _number("uncertain"),
    _real("sentiment"),
    _number("heat"),
    _number("total"),
    _flag("open", True),
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
    _time("at"),
)
stages = Table(
    "stages",
    metadata,
    Column("name", Key, primary_key=True),
    Column("state", Json),
    Column("packed", Packed),
    _time("at"),
)

# -- what was said -----------------------------------------------------------------------------------------------
alerts = Table(
    "alerts",
    metadata,
    Column("id", Key, primary_key=True),
    _key("topic"),
    _key("company"),
    _key("state"),
    _text("severity"),
    _time("since"),
    _time("last"),
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
    _time("starts"),
    _time("ends"),
    _text("by"),
    _text("comment"),
    Index(None, "ends"),
)
notices = Table(
    "notices",
    metadata,
    Column("id", Key, primary_key=True),
    _key("receiver"),
    Column("body", Json, nullable=False),
    Column("alerts", Json),
    _time("at"),
    _key("state"),
    _number("tries"),
    _real("again"),
    Column("sent", Real),
    _text("fault"),
    Index(None, "state", "receiver", "at"),
)
watchlists = Table(
    "watchlists",
    metadata,
    Column("id", Key, primary_key=True),
    _text("name"),
    _key("owner"),
    Column("topics", Json, nullable=False),
    Column("companies", Json, nullable=False),
    _time("at"),
    Index(None, "owner"),
)
missed = Table(
    "missed",
    metadata,
    Column("id", Key, primary_key=True),
    _key("topic"),
    _key("company"),
    _time("starts"),
    _time("ends"),
    _text("who"),
    _time("at"),
    _text("comment"),
    Column("documents", Json, nullable=False),
    Index(None, "starts"),
)

# -- what came back ----------------------------------------------------------------------------------------------
interactions = Table(
    "interactions",
    metadata,
    _counted(),
    _key("id", unique=True),
    _key("app"),
    _key("kind"),
    _key("subject"),
    _text("head"),
    Column("prediction", Json),
    Column("shown", Real),
    _key("verdict"),
    Column("correction", Json),
    _text("who"),
    _time("at"),
    _text("version"),
    _text("comment"),
    Index(None, "kind", "subject"),
    Index(None, "app", "at"),
    sqlite_autoincrement=True,
)
audit = Table(
    "audit",
    metadata,
    Column("number", Whole, primary_key=True, autoincrement=False),
    _time("at"),
    _key("who"),
    _key("what"),
    _key("kind"),
    _key("subject"),
    _text("details"),  # canonical JSON, as its hash covers it
    _text("previous"),
    _text("hash"),
    Index(None, "kind", "subject"),
    Index(None, "at"),
)

# -- who may -----------------------------------------------------------------------------------------------------
people = Table(
    "people",
    metadata,
    Column("name", Key, primary_key=True),
    _text("password"),  # an argon2id hash; empty: comes in by single sign-on alone
    _key("role"),
    _flag("active", True),
    _time("at"),
)
sessions = Table(
    "sessions",
    metadata,
    Column("digest", Key, primary_key=True),
    Column("person", Key, ForeignKey("people.name", ondelete="CASCADE"), nullable=False),
    _time("at"),
    _time("expires"),
    Index(None, "person"),
    Index(None, "expires"),
)
keys = Table(
    "keys",
    metadata,
    Column("digest", Key, primary_key=True),
    _key("name"),
    _key("role"),
    _time("at"),
    Column("expires", Real),
    UniqueConstraint("name"),
)
attempts = Table(
    "attempts", metadata, _counted(), _key("key"), _time("at"), Index(None, "key", "at"), sqlite_autoincrement=True
)
