"""The first tables."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TEXT = sa.Text()
REAL: sa.Double[float] = sa.Double()


def upgrade() -> None:
    _incoming()
    _counted()
    _said()
    _returned()
    _admitted()
    _guard_audit()


def downgrade() -> None:
    raise NotImplementedError("before the first tables there was nothing")


def _key(name: str, *, primary: bool = False, null: bool = False) -> sa.Column[Any]:
    return sa.Column(name, KEY, primary_key=primary, nullable=null)


def _text(name: str) -> sa.Column[Any]:
    return sa.Column(name, TEXT, nullable=False, server_default="")


def _json(*names: str, null: bool = True) -> list[sa.Column[Any]]:
    return [sa.Column(name, TEXT, nullable=null) for name in names]


def _real(*names: str, null: bool = False, default: str | None = None) -> list[sa.Column[Any]]:
    standard = None if default is None else sa.text(default)
    return [sa.Column(name, REAL, nullable=null, server_default=standard) for name in names]


def _whole(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, WHOLE, nullable=False, server_default=sa.text("0")) for name in names]


def _number(*, counts: bool = True) -> sa.Column[Any]:
    return sa.Column("number", WHOLE, primary_key=True, autoincrement=counts)


def _flag(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False, server_default=sa.true())


def _index(table: str, *columns: str, unique: bool = False) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns), unique=unique)


def _incoming() -> None:
    op.create_table(
        "documents", _number(), _key("id"), _text("source"), _text("text"), *_real("time", "received"), _text("url"),
        _text("language"), *_json("meta"), _text("version"), *_json("topics", "sentiment"), _key("story", null=True),
        _key("subject", null=True), *_real("erased", "tick", null=True), sa.Column("vector", sa.LargeBinary()),
        sa.UniqueConstraint("id", name="uq_documents_id"), sqlite_autoincrement=True,
    )  # fmt: skip
    for columns in (("time", "id"), ("tick",), ("story",), ("subject",)):
        _index("documents", *columns)
    op.create_table(
        "stories", _key("id", primary=True), _key("document", null=True), *_real("first", "last"), *_whole("heat"),
        *_json("topics", "sentiment"),
    )  # fmt: skip
    _index("stories", "last", "id")
    _index("stories", "first", "id")
    op.create_table(
        "mentions", _key("document", primary=True),
        *(sa.Column(name, WHOLE, primary_key=True, autoincrement=False) for name in ("start", "end")),
        _key("company", primary=True), _text("surface"), _text("how"), *_real("score", default="1"),
        *_json("sentiment"),
        sa.ForeignKeyConstraint(["document"], ["documents.id"], name="fk_mentions_document", ondelete="CASCADE"),
    )  # fmt: skip
    _index("mentions", "company")
    op.create_table("unlinked", _key("surface", primary=True), *_whole("count"), *_real("last"))
    op.create_table("pins", *(_key(name, primary=True) for name in ("kind", "subject", "by")))
    _index("pins", "by")
    op.create_table("positions", _key("source", primary=True), _text("position"), *_real("at"))
    op.create_table(
        "quarantine", _number(), _key("source"), _text("raw"), _text("reason"), *_real("at"),
        *_real("replayed", null=True), sqlite_autoincrement=True,
    )  # fmt: skip
    _index("quarantine", "at")


def _counted() -> None:
    op.create_table(
        "ticks", _key("topic", primary=True), _key("company", primary=True),
        sa.Column("start", REAL, primary_key=True), *_whole("stories", "negatives", "uncertain"),
        *_real("sentiment", default="0"), *_whole("heat", "total"), _flag("open"), *_json("signal"),
        sqlite_with_rowid=False,
    )  # fmt: skip
    _index("ticks", "start")
    for table, keys in (("series", ("topic", "company")), ("stages", ("name",))):
        op.create_table(
            table, *(_key(name, primary=True) for name in keys), *_json("state"),
            sa.Column("packed", sa.LargeBinary()), *_real("at"),
        )  # fmt: skip


def _said() -> None:
    op.create_table(
        "alerts", _key("id", primary=True), _key("topic"), _key("company"), _key("state"), _text("severity"),
        *_real("since", "last"), *_real("fired", "resolved", null=True), *_json("labels", "evidence", "details"),
        *_json("owner", "acknowledged_by"), *_real("acknowledged_at", "snoozed_until", null=True),
        *_json("verdict", "verdict_by"), *_real("verdict_at", null=True),
    )  # fmt: skip
    for columns in (("state", "since"), ("topic", "company", "since"), ("since", "id")):
        _index("alerts", *columns)
    op.create_table(
        "silences", _key("id", primary=True), *_json("matchers", null=False), *_real("starts", "ends"), _text("by"),
        _text("comment"),
    )  # fmt: skip
    _index("silences", "ends")
    op.create_table(
        "notices", _key("id", primary=True), _key("receiver"), *_json("body", null=False), *_json("alerts"),
        *_real("at"), _key("state"), *_whole("tries"), *_real("again", default="0"), *_real("sent", null=True),
        _text("fault"),
    )  # fmt: skip
    _index("notices", "state", "receiver", "at")
    op.create_table(
        "watchlists", _key("id", primary=True), _text("name"), _key("owner"),
        *_json("topics", "companies", null=False), *_real("at"),
    )  # fmt: skip
    _index("watchlists", "owner")
    op.create_table(
        "missed", _key("id", primary=True), _key("topic"), _key("company"), *_real("starts", "ends"), _text("who"),
        *_real("at"), _text("comment"), *_json("documents", null=False),
    )  # fmt: skip
    _index("missed", "starts")


def _returned() -> None:
    op.create_table(
        "interactions", _number(), _key("id"), _key("app"), _key("kind"), _key("subject"), _text("head"),
        *_json("prediction"), *_real("shown", null=True), _key("verdict"), *_json("correction"), _text("who"),
        *_real("at"), _text("version"), _text("comment"),
        sa.UniqueConstraint("id", name="uq_interactions_id"), sqlite_autoincrement=True,
    )  # fmt: skip
    _index("interactions", "kind", "subject")
    _index("interactions", "app", "at")
    op.create_table(
        "audit", _number(counts=False), *_real("at"), _key("who"), _key("what"), _key("kind"), _key("subject"),
        _text("details"), _text("previous"), _text("hash"),
    )  # fmt: skip
    _index("audit", "kind", "subject")
    _index("audit", "at")


def _admitted() -> None:
    op.create_table(
        "people", _key("name", primary=True), _text("password"), _key("role"), _flag("active"), *_real("at")
    )
    op.create_table(
        "sessions", _key("digest", primary=True), _key("person"), *_real("at", "expires"),
        sa.ForeignKeyConstraint(["person"], ["people.name"], name="fk_sessions_person", ondelete="CASCADE"),
    )  # fmt: skip
    _index("sessions", "person")
    _index("sessions", "expires")
    op.create_table(
        "keys", _key("digest", primary=True), _key("name"), _key("role"), *_real("at"), *_real("expires", null=True),
        sa.UniqueConstraint("name", name="uq_keys_name"),
    )  # fmt: skip
    op.create_table("attempts", _number(), _key("key"), *_real("at"), sqlite_autoincrement=True)
    _index("attempts", "key", "at")


def _guard_audit() -> None:
    """What was written in the audit log is neither changed nor removed, whoever asks."""
    if op.get_bind().dialect.name == "sqlite":
        for act in ("UPDATE", "DELETE"):
            op.execute(
                f"CREATE TRIGGER audit_no_{act.lower()} BEFORE {act} ON audit "
                "BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END"
            )
        return
    op.execute(
        "CREATE FUNCTION metier_audit_is_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the audit log is append-only'; END $$"
    )
    op.execute(
        "CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
        "FOR EACH STATEMENT EXECUTE FUNCTION metier_audit_is_append_only()"
    )
