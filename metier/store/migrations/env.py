"""What alembic runs: the revisions, on the connection (and in the transaction) that it is handed."""

from __future__ import annotations

from alembic import context

from metier.store import support_tables as _support  # noqa: F401 (the tables join the MetaData)
from metier.store import tables as _house  # noqa: F401
from metier.store.schema import metadata

VERSIONS = "metier_schema"
"""The table that names the revision. Alembic's own default is taken where a search shares the server."""

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata, version_table=VERSIONS)
with context.begin_transaction():
    context.run_migrations()
