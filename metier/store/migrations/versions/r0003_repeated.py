"""How often what waits for review was said again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"

WHOLE = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    op.add_column("candidates", sa.Column("repeated", WHOLE, nullable=False, server_default=sa.text("0")))


def downgrade() -> None:
    with op.batch_alter_table("candidates") as table:
        table.drop_column("repeated")
