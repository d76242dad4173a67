"""The store of one machine: a file that all its workers share. It survives a restart and kill -9.

SQLite's write-ahead log needs a local disk. A power cut may take the last moment's changes with it; whole changes only.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar

import structlog
from pydantic import ValidationError
from tenacity import Retrying, retry_if_exception_type, stop_after_delay, wait_fixed

from chaosapi.errors import StoreUnavailable
from chaosapi.state import AuditEntry, Change, State
from chaosapi.store.codec import AUDIT, forgotten, key, read, write, write_state
from chaosapi.store.replica import Replica
from chaosapi.store.snapshot import Listener, Snapshot

_BEAT: Final = 0.1
"""Seconds between two looks for what other processes changed."""
_PATIENCE: Final = 1.5
"""Seconds to wait for a process that is writing."""
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS state (
    id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, state TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS audit (number INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS replicas (id TEXT PRIMARY KEY, seen REAL NOT NULL, replica TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS tallies (
    fault TEXT NOT NULL, replica TEXT NOT NULL, tally TEXT NOT NULL, PRIMARY KEY (fault, replica)
);
"""

T = TypeVar("T")

log = structlog.stdlib.get_logger("chaosapi.store")


class SqliteStore:
    """Keeps everything in a file. Its thread is the only one that touches the connection."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self.up = False
        self._path = path
        self._snapshot = Snapshot()
        self.subscribe: Callable[[Listener], None] = self._snapshot.subscribe
        self._thread = ThreadPoolExecutor(1, "chaosapi-sqlite")
        self._looking: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Open the file, making it where there is none; raises OSError where that cannot be."""
        try:
            self._db = await self._in_thread(self._opened)
            await self._look()
        except (sqlite3.Error, OSError, StoreUnavailable) as error:
            foreign = isinstance(error.__cause__, ValidationError)
            why = "another release of chaosapi wrote it: move it away" if foreign else error
            raise OSError(f"the store {self._path} cannot be opened: {why}") from error
        self._looking = asyncio.create_task(self._keep_looking())

    async def close(self) -> None:
        """Close the file."""
        if self._looking:
            self._looking.cancel()
            await asyncio.wait([self._looking])
            await self._in_thread(self._db.close)
        self._thread.shutdown()

    async def apply(self, change: Change, entry: AuditEntry) -> State:
        """Make one change in one transaction, which other processes wait for."""

        def work() -> State:
            with self._transaction() as db:
                before = _state(db)
                state = change(before)
                if state.revision != before.revision:
                    row = (state.revision, write_state(state))
                    db.execute("INSERT OR REPLACE INTO state (id, revision, state) VALUES (1, ?, ?)", row)
                    added = db.execute("INSERT INTO audit (entry) VALUES (?)", (write(entry.signed(state)),))
                    db.execute("DELETE FROM audit WHERE number <= ?", ((added.lastrowid or 0) - AUDIT,))
                    if forgotten(before, state):
                        _drop_tallies(db, state)
            return state

        state = await self._run(work)
        self._snapshot.take(state)
        return state

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the latest entries, newest first."""
        rows = await self._run(
            lambda: self._db.execute("SELECT entry FROM audit ORDER BY number DESC LIMIT ?", (limit,)).fetchall()
        )
        return [read(AuditEntry, text) for (text,) in rows]

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        """Note a sign of life, or that the replica leaves, and what its faults did."""
        seen = replica.model_copy(update={"seen": self.now()})

        def work() -> None:
            with self._transaction() as db:
                db.execute("DELETE FROM replicas WHERE id = ?", (seen.id,))
                if not leaving:
                    db.execute("INSERT INTO replicas VALUES (?, ?, ?)", (seen.id, seen.seen, write(seen)))
                rows = [(fault, seen.id, text) for fault, text in tallies.items()]
                db.executemany("INSERT OR REPLACE INTO tallies VALUES (?, ?, ?)", rows)

        await self._run(work)

    async def replicas(self) -> list[Replica]:
        """Return those that gave a sign of life lately."""
        rows = await self._run(lambda: self._db.execute("SELECT replica FROM replicas ORDER BY id").fetchall())
        return [replica for (text,) in rows if (replica := read(Replica, text)).alive(self.now())]

    async def tallies(self, faults: Collection[str]) -> dict[str, dict[str, str]]:
        """Return what the replicas reported."""

        def work() -> dict[str, dict[str, str]]:
            query = "SELECT replica, tally FROM tallies WHERE fault = ?"
            return {fault: dict(self._db.execute(query, (fault,)).fetchall()) for fault in faults}

        return await self._run(work)

    def _opened(self) -> sqlite3.Connection:
        db = sqlite3.connect(self._path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False)
        # Of several that make the file at once, SQLite refuses all but one without any wait.
        waiting = Retrying(
            retry=retry_if_exception_type(sqlite3.OperationalError),
            stop=stop_after_delay(_PATIENCE),
            wait=wait_fixed(_BEAT / 10),
            reraise=True,
        )
        waiting(db.execute, "PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = NORMAL")  # safe but for a power cut, and no wait for the disk
        db.executescript(_SCHEMA)
        db.execute("DELETE FROM replicas WHERE seen < ?", (self.now() - 86400,))
        self._file = os.stat(self._path)  # noqa: PTH116 - for samestat
        return db

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield self._db
            self._db.execute("COMMIT")
        finally:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")

    async def _keep_looking(self) -> None:
        while True:
            await asyncio.sleep(_BEAT)
            try:
                await self._look()
            except StoreUnavailable:
                pass
            except Exception:
                log.exception("the store cannot be read")

    async def _look(self) -> None:
        """Take over what other processes changed, and what a caller who left early changed here."""
        # Not PRAGMA data_version: it overlooks changes of this connection, and every heartbeat moves it.
        row = await self._run(lambda: self._db.execute("SELECT revision FROM state").fetchone())
        if row and row[0] > self._snapshot.state.revision:
            self._snapshot.take(await self._run(lambda: _state(self._db)))

    async def _run(self, work: Callable[[], T]) -> T:
        """Run it in the thread; raises StoreUnavailable for whatever is wrong with the file."""
        try:
            result = await self._in_thread(lambda: self._checked(work))
        except (sqlite3.Error, OSError, ValidationError) as error:
            if self.up:
                log.warning("the store is away", store=str(self._path), reason=str(error))
            self.up = False
            raise StoreUnavailable(f"the store {self._path.name} cannot be used: {error}") from error
        self.up = True
        return result

    def _checked(self, work: Callable[[], T]) -> T:
        """Refuse to go on with a file that nobody else can see any more."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._file, os.stat(self._path)):  # noqa: PTH116 - as above
                return work()
        raise FileNotFoundError("the file was moved or deleted; put it back, or restart the service")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)


def _state(db: sqlite3.Connection) -> State:
    row = db.execute("SELECT state FROM state").fetchone()
    return read(State, row[0]) if row else State()


def _drop_tallies(db: sqlite3.Connection, state: State) -> None:
    """Drop those of faults that are forgotten, and of earlier ones, reported by who had not heard of that yet."""
    known = {key(record) for record in state.faults}
    found = db.execute("SELECT DISTINCT fault FROM tallies").fetchall()
    db.executemany("DELETE FROM tallies WHERE fault = ?", [row for row in found if row[0] not in known])
