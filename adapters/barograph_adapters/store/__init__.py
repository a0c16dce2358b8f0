"""Where deployments are kept: SQLite by default, PostgreSQL by URL, one schema, made by migrations."""

from barograph_adapters.store.sql import SqlStore, open_store

__all__ = ["SqlStore", "open_store"]
