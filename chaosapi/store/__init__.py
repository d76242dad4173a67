"""Where the shared state lives. Replicas read a local snapshot: no request ever waits for a store."""

import time
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

from chaosapi.extras import needed
from chaosapi.faults.changes import Change
from chaosapi.faults.state import AuditEntry, Halt, State
from chaosapi.store.memory import MemoryStore
from chaosapi.store.replica import Replica
from chaosapi.store.snapshot import Listener


class Store(Protocol):
    """Applies changes one at a time, remembers who made them, and tells the listeners.

    Every coroutine runs in the event loop that called `start`; `up` and `now` may be asked from any thread.
    """

    @property
    def up(self) -> bool:
        """Whether it answered last time. While it is away the last snapshot holds and changes are refused."""

    def now(self) -> float:
        """Return the time that all replicas share, Unix seconds in UTC."""

    async def start(self) -> None:
        """Open it and read the state. A store that is away is no error: it is tried again; what can't be, raises."""

    async def close(self) -> None:
        """Let go of all that `start` took."""

    def subscribe(self, listener: Listener) -> None:
        """Call the listener with the state now, and after every change, whoever made it."""

    async def apply(self, change: Change, entry: AuditEntry) -> State:
        """Make one change atomically and write its audit entry, `signed` with the new state.

        A change that raises, or that returns the state as it was, leaves no trace. Raises StoreUnavailable where
        the store does not answer, StoreUnreadable where nobody can read what it holds, and Invalid where what the
        change made could not be read back.
        """

    async def reset(self, entry: AuditEntry, halt: Halt | None) -> State:
        """Write a state without faults, and reading none, at a revision above every one that is known.

        What was there is kept aside, for a person to look at. For the kill switch and the start, where `apply` raises
        StoreUnreadable. Raises StoreUnavailable.
        """

    async def refresh(self) -> State:
        """Read the state now and take it over; raises StoreUnavailable."""

    async def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """Return the latest entries, newest first; of the revisions before one, where that is given."""

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        """Note a sign of life of a replica, or that it leaves, and the tallies it has by now, by `codec.key`.

        Each tally takes the place of the one that this replica wrote before. Raises StoreUnavailable.
        """

    async def replicas(self) -> list[Replica]:
        """Return the replicas that gave a sign of life lately. Raises StoreUnavailable."""

    async def tallies(self, faults: Collection[str]) -> dict[str, dict[str, str]]:
        """Return, by `codec.key` and then replica, what every replica last reported, also those that are gone.

        Raises StoreUnavailable.
        """


def open_store(url: str, clock: Callable[[], float] = time.time) -> Store:
    """Make the store that a URL means: `memory://`, `sqlite:///file.db`, `redis://`, `rediss://` or `unix://`.

    `clock` is this machine's. Raises ValueError, saying what would be right, for any other URL.
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


__all__ = ["Listener", "MemoryStore", "Replica", "Store", "open_store"]
