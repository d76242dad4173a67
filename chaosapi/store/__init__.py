"""Stores of the state that all replicas share. Replicas read a local snapshot: no request ever waits for a store."""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from chaosapi.extras import needed
from chaosapi.faults.changes import Change
from chaosapi.faults.state import Applied, AuditEntry, Halt, State
from chaosapi.store.memory import MemoryStore
from chaosapi.store.replica import Replica
from chaosapi.store.snapshot import Listener


class Store(Protocol):
    """Applies changes one at a time, writes the audit, and calls the listeners.

    Every coroutine runs in the event loop that called `start`; `up` and `now` may be called from any thread.
    """

    @property
    def up(self) -> bool:
        """Whether the last call succeeded. While the store is away the last snapshot holds and changes are refused."""

    def now(self) -> float:
        """Return the time that all replicas share, Unix seconds in UTC."""

    async def start(self) -> None:
        """Open the store and read the state.

        A store that is away is retried in the background; a configuration that can never work raises.
        """

    async def close(self) -> None:
        """Release what `start` opened."""

    def subscribe(self, listener: Listener) -> None:
        """Call the listener now, and after every change by any replica, with the state."""

    async def apply(self, change: Change, entry: AuditEntry) -> Applied:
        """Make one change atomically and write its audit entry, `signed` with the new state.

        A store may call `change` several times; the last call counts. A change that raises, or that returns an
        unchanged state, writes nothing. Raises StoreUnavailable if the store does not answer, StoreUnreadable if the
        stored state cannot be parsed, and Invalid if the new state could not be read back.
        """

    async def reset(self, entry: AuditEntry, halt: Halt | None) -> State:
        """Write a state without faults, at a revision above all known ones, without reading the stored state.

        The kill switch and the startup call this when `apply` raises StoreUnreadable. The old content is kept aside
        for inspection. Raises StoreUnavailable.
        """

    async def refresh(self) -> State:
        """Read the state now, update the snapshot and return it; raises StoreUnavailable."""

    async def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """Return the latest entries, newest first; with `before`, only those of lower revisions."""

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        """Write a replica's heartbeat, or with `leaving` remove it, and write its tallies by `codec.tally_key`.

        Each tally replaces the replica's previous one. Raises StoreUnavailable.
        """

    async def replicas(self) -> list[Replica]:
        """Return the replicas with a recent heartbeat. Raises StoreUnavailable."""

    async def tallies(self, faults: Collection[str]) -> dict[str, dict[str, str]]:
        """Return the last tally of every replica, by `codec.tally_key` and replica, dead replicas included.

        Raises StoreUnavailable.
        """


def store_from_url(url: str, clock: Callable[[], float] = time.time) -> Store:
    """Return the store of a URL, not started yet: `memory://`, `sqlite:///file.db`, `redis://`, `rediss://` or `unix://`.

    `clock` is this machine's. Raises ValueError, with the valid forms, for any other URL.
    """
    parts = urlsplit(url)
    if parts.scheme == "memory":
        return MemoryStore(clock)
    if parts.scheme == "sqlite":
        from chaosapi.store.sqlite import SqliteStore

        if parts.netloc or parts.path in ("", "/"):
            raise ValueError("sqlite:///faults.db is a file in this folder, sqlite:////var/lib/faults.db one anywhere")
        return SqliteStore(Path(unquote(parts.path[1:])), clock)
    if parts.scheme in ("redis", "rediss", "unix"):
        with needed("a store on Redis", "redis", ValueError):
            from chaosapi.store.redis import RedisStore
        return RedisStore(url, clock)
    raise ValueError("a store is memory://, sqlite:///faults.db or redis://host:6379/0 (rediss:// with TLS)")


__all__ = ["Listener", "MemoryStore", "Replica", "Store", "store_from_url"]
