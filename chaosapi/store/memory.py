"""The store of a single process."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping

from chaosapi.faults.changes import Change
from chaosapi.faults.state import Applied, AuditEntry, Halt, State
from chaosapi.store.audit_log import AuditLog
from chaosapi.store.codec import MAX_AUDIT_BYTES, MAX_AUDIT_ENTRIES, dropped_tallies
from chaosapi.store.replica import Replica
from chaosapi.store.snapshot import Listener, Snapshot


class MemoryStore:
    """Keeps everything in the memory of this process."""

    up = True

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self._snapshot = Snapshot()
        self.subscribe: Callable[[Listener], None] = self._snapshot.subscribe
        self._audit = AuditLog(MAX_AUDIT_ENTRIES, MAX_AUDIT_BYTES)
        self._replicas: dict[str, Replica] = {}
        self._tallies: dict[str, dict[str, str]] = {}

    async def start(self) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""

    async def apply(self, change: Change, entry: AuditEntry) -> Applied:
        """Make one change; atomic, because it awaits nothing."""
        before = self._snapshot.state
        state = change(before)
        if state.revision != before.revision:
            self._audit.append(entry.signed(state))
            for key in dropped_tallies(before, state):
                self._tallies.pop(key, None)
            self._snapshot.update(state)
        return Applied(before, state)

    async def reset(self, entry: AuditEntry, halt: Halt | None) -> State:
        known = self._snapshot.state
        state = known.emptied(known.revision + 1, halt)
        self._audit.append(entry.signed(state))
        self._tallies.clear()
        self._snapshot.update(state)
        return state

    async def refresh(self) -> State:
        return self._snapshot.state

    async def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        return await asyncio.to_thread(self._audit.snapshot().latest, limit, before)

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        self._replicas[replica.id] = replica.model_copy(update={"seen": self.now()})
        if leaving:
            del self._replicas[replica.id]
        for key, text in tallies.items():
            self._tallies.setdefault(key, {})[replica.id] = text

    async def replicas(self) -> list[Replica]:
        return [replica for replica in self._replicas.values() if replica.is_alive(self.now())]

    async def tallies(self, faults: Collection[str]) -> dict[str, dict[str, str]]:
        return {key: dict(self._tallies.get(key, {})) for key in faults}
