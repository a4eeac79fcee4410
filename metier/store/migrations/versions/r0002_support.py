"""The tables of customer service."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
KEY = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
TEXT = sa.Text()
REAL: sa.Double[float] = sa.Double()
Columns = list["sa.Column[object]"]


def upgrade() -> None:
    _known()
    _learned()
    _conversations()
    _messages()


def downgrade() -> None:
    for table in (
        "deliveries", "erasures", "messages", "conversations", "promotions", "candidates", "entry_revisions", "entries",
    ):  # fmt: skip
        op.drop_table(table)


def _keys(*names: str, null: bool = False) -> Columns:
    return [sa.Column(name, KEY, nullable=null) for name in names]


def _words(*names: str, null: bool = False) -> Columns:
    return [sa.Column(name, TEXT, nullable=null, server_default=None if null else "") for name in names]


def _reals(*names: str, null: bool = False) -> Columns:
    return [sa.Column(name, REAL, nullable=null) for name in names]


def _wholes(*names: str) -> Columns:
    return [sa.Column(name, WHOLE, nullable=False, server_default=sa.text("0")) for name in names]


def _named(name: str = "id") -> Columns:
    return [sa.Column(name, KEY, primary_key=True, nullable=False)]


def _counted() -> Columns:
    return [sa.Column("number", WHOLE, primary_key=True, autoincrement=True)]


def _of_conversation(table: str) -> sa.ForeignKeyConstraint:
    name = f"fk_{table}_conversation"
    return sa.ForeignKeyConstraint(["conversation"], ["conversations.id"], name=name, ondelete="CASCADE")


def _index(table: str, *columns: str) -> None:
    op.create_index(f"ix_{table}_{'_'.join(columns)}", table, list(columns))


def _known() -> None:
    op.create_table(
        "entries", *_named(), *_words("question", "answer"), sa.Column("others", TEXT, nullable=False),
        *_keys("intent", "category", "language", "source"),
        sa.Column("active", sa.Boolean(), nullable=False, server_default=sa.true()), *_wholes("revision", "turn"),
        *_reals("at"), *_words("by"),
    )  # fmt: skip
    _index("entries", "turn")
    _index("entries", "category")
    op.create_table(
        "entry_revisions", *_named("entry"),
        sa.Column("revision", WHOLE, primary_key=True, autoincrement=False), *_words("content", null=True),
        *_keys("promotion", null=True), *_reals("at"), *_words("by"),
    )  # fmt: skip
    _index("entry_revisions", "promotion")


def _learned() -> None:
    op.create_table(
        "candidates", *_named(), *_keys("kind", "state"), *_words("question", "answer"),
        *_keys("entry", "conversation", null=True), sa.Column("message", WHOLE), *_words("near", "reasons", null=True),
        *_words("who"), *_reals("at"), *_words("decided_by", null=True), *_reals("decided_at", null=True),
    )  # fmt: skip
    _index("candidates", "state", "at")
    _index("candidates", "conversation")
    op.create_table(
        "promotions", *_named(), *_keys("verdict"), sa.Column("candidates", TEXT, nullable=False),
        *_words("report", null=True), *_reals("at"), *_words("by"), *_reals("rolled_back_at", null=True),
        *_words("rolled_back_by", null=True),
    )  # fmt: skip
    _index("promotions", "at")


def _conversations() -> None:
    op.create_table(
        "conversations", *_named(), *_keys("visitor", "channel", "language", "state"), *_reals("opened", "last"),
        *_reals("queued", null=True), *_keys("agent", null=True), *_reals("seen", null=True),
        *_words("context", null=True), *_wholes("version"), sa.Column("rating", WHOLE), *_words("remark"),
        *_reals("erased", null=True),
    )  # fmt: skip
    for columns in (("state", "queued"), ("visitor", "last"), ("agent", "state"), ("last",)):
        _index("conversations", *columns)
    op.create_table("erasures", *_named(), *_reals("at"), *_words("by"), *_wholes("conversations", "messages"))


def _messages() -> None:
    op.create_table(
        "messages", *_counted(), *_keys("id", "conversation", "author"), *_words("name", "text"), *_reals("at"),
        sa.Column("answers", WHOLE), *_keys("tier", "intent", null=True),
        sa.Column("outside", sa.Boolean(), nullable=False, server_default=sa.false()), *_words("reply", null=True),
        sa.UniqueConstraint("conversation", "id", name="uq_messages_conversation_id"), _of_conversation("messages"),
        sqlite_autoincrement=True,
    )  # fmt: skip
    for columns in (("conversation", "number"), ("at",), ("answers",)):
        _index("messages", *columns)
    op.create_table(
        "deliveries", *_counted(), *_keys("channel", "conversation"),
        sa.Column("message", WHOLE, nullable=False), *_keys("state"), *_wholes("tries"), *_reals("again"),
        *_words("fault"), sa.UniqueConstraint("channel", "message", name="uq_deliveries_channel_message"),
        _of_conversation("deliveries"), sqlite_autoincrement=True,
    )  # fmt: skip
    _index("deliveries", "state", "again")
