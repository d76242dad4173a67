"""The store of a single process."""

from collections import deque
from collections.abc import Callable
from itertools import islice

from chaosapi.state import AuditEntry, Change, State

_AUDIT = 10_000


class MemoryStore:
    """Keeps everything in this process; gone when it ends."""

    def __init__(self) -> None:
        self._state = State()
        self._audit: deque[AuditEntry] = deque(maxlen=_AUDIT)
        self._listeners: list[Callable[[State], None]] = []

    def subscribe(self, listener: Callable[[State], None]) -> None:
        """Call the listener with the state now, and after every change."""
        self._listeners.append(listener)
        listener(self._state)

    async def apply(self, change: Change, entry: AuditEntry) -> State:
        """Make one change: nothing is awaited in between, so it is atomic."""
        state = change(self._state)
        if state.revision != self._state.revision:
            self._state = state
            self._audit.appendleft(entry.signed(state))
            for listener in self._listeners:
                listener(state)
        return state

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the latest entries, newest first."""
        return list(islice(self._audit, limit))
