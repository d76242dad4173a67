"""The store of one machine."""

from chaosapi.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
