"""Where the shared state lives. Replicas read a local snapshot: no request ever waits for a store."""

from collections.abc import Callable
from typing import Protocol

from chaosapi.state import AuditEntry, Change, State
from chaosapi.store.memory import MemoryStore

Listener = Callable[[State], None]


class Store(Protocol):
    """Applies changes one at a time, remembers who made them, and tells the listeners."""

    def subscribe(self, listener: Listener) -> None:
        """Call the listener with the state now, and after every change."""

    async def apply(self, change: Change, entry: AuditEntry) -> State:
        """Make one change atomically and write its audit entry, `signed` with the new state.

        A change that raises, or that returns the state as it was, leaves no trace.
        """

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the latest entries, newest first."""


__all__ = ["Listener", "MemoryStore", "Store"]
