"""The store for one machine."""

from chaosapi.store.sqlite.store import SqliteStore

__all__ = ["SqliteStore"]
