"""The database that all applications share: SQLite by default, PostgreSQL beyond one machine."""
