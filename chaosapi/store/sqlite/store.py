"""The store for one machine: a file that all workers share. It survives a restart and kill -9.

SQLite's write-ahead log needs a local disk. A power cut may lose the latest changes, but never a part of a change.
Faults continue after a restart unless the file is an older copy, or no process ran them for a minute, which
`NAME-watermark` shows.
"""

import asyncio
import contextlib
import os
import sqlite3
import time
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

from chaosapi.errors import StoreUnavailable, StoreUnreadable
from chaosapi.faults.changes import Change
from chaosapi.faults.state import Applied, AuditEntry, Halt, State
from chaosapi.logger import get_logger
from chaosapi.models import MAX_REVISION
from chaosapi.store.codec import UNREADABLE, StateReader, dropped_tallies, read_entries, read_valid, write_state
from chaosapi.store.lease import OLDER_COPY, reason_to_end
from chaosapi.store.replica import Replica
from chaosapi.store.snapshot import Listener, Snapshot
from chaosapi.store.sqlite import tables
from chaosapi.store.sqlite.watermark import Watermark

_POLL_INTERVAL_S: Final = 0.1
_LOCK_TIMEOUT_S: Final = 1.5
"""How long to wait for another process's write, queueing included."""
_MAX_MISSED: Final = 1_000_000
"""How many revisions later than those of a restored copy may have been used."""

T = TypeVar("T")

log = get_logger("chaosapi.store")


class SqliteStore:
    """Keeps everything in a file. Only the store's own thread uses the connection."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.now = clock
        self._readable = False
        self._writable = False
        self._path = path
        self._watermark = Watermark(path)
        self._snapshot = Snapshot()
        self._reader = StateReader()
        self.subscribe: Callable[[Listener], None] = self._snapshot.subscribe
        self._thread = ThreadPoolExecutor(1, "chaosapi-sqlite")
        self._polling: asyncio.Task[None] | None = None

    @property
    def up(self) -> bool:
        """Whether the last read and the last write succeeded."""
        return self._readable and self._writable

    async def start(self) -> None:
        """Open or create the file; raises OSError if that fails.

        An unreadable state is replaced by one without faults; faults that must not continue are ended.
        """
        try:
            self._db = await self._in_thread(self._open)
            self._writable = True
            reason = await self._resume()
        except (sqlite3.Error, OSError, StoreUnavailable) as error:
            raise OSError(
                f"the store {self._path} cannot be opened: {error}; check its permissions and the disk space, "
                "or move it away, and the service starts with a new one"
            ) from error
        if reason:
            log.warning("all faults in the store are ended", store=str(self._path), reason=reason)
        self._polling = asyncio.create_task(self._keep_polling())

    async def _resume(self) -> str | None:
        """Take over the stored state; return why its faults were ended, if they were."""
        try:
            state, reason = await self._run(self._end_unattended, writes=True)
        except StoreUnreadable as error:
            entry = AuditEntry(at=self.now(), actor="store", action="end_all", reason=UNREADABLE)
            await self.reset(entry, None)
            return str(error)
        self._readable = True
        self._snapshot.update(state)
        return reason

    def _end_unattended(self) -> tuple[State, str | None]:
        """End the stored faults if they must not continue; return the state, and why they were ended.

        Mark and state are read in one transaction, and the heartbeat precedes this process's first change: otherwise
        another process that starts now would end the faults that this one has just begun.
        """
        now = self.now()
        with tables.transaction(self._db) as db:
            state = tables.read_state(db, self._reader)
            mark = self._watermark.read()
            least = mark.revision if mark else 0
            if self._watermark.is_copy():
                least += _MAX_MISSED
                reason: str | None = OLDER_COPY
            else:
                reason = reason_to_end(mark, state.revision, now)
            if reason and (state.live(now) or state.revision < least):
                state = tables.end_all_faults(db, state, least, reason, now)
            else:
                reason = None
        self._watermark.advance(state.revision, now)
        return state, reason

    async def _end_all(self, least: int, reason: str) -> None:
        """End all stored faults, at a revision above the least."""

        def work() -> State:
            with tables.transaction(self._db) as db:
                found = tables.read_state(db, self._reader).with_newer_world(self._snapshot.state)
                return tables.end_all_faults(db, found, least, reason, self.now())

        await self._write(work)

    async def close(self) -> None:
        if self._polling:
            self._polling.cancel()
            await asyncio.wait([self._polling])
            await self._in_thread(self._db.close)
        await self._in_thread(self._watermark.close)
        self._thread.shutdown()

    async def apply(self, change: Change, entry: AuditEntry) -> Applied:
        """Make one change in one transaction; other processes wait for it."""

        def work() -> Applied:
            with tables.transaction(self._db) as db:
                before = tables.read_state(db, self._reader)
                known = self._snapshot.state.revision
                if before.revision < known:
                    found = before.with_newer_world(self._snapshot.state)
                    before = tables.end_all_faults(db, found, known, OLDER_COPY, self.now())
                state = change(before)
                if state.revision != before.revision:
                    tables.write_state_and_audit(db, state, entry)
                    if dropped_tallies(before, state):
                        tables.drop_stale_tallies(db, state)
            self._record_stored(state)
            return Applied(before, state)

        applied = await self._run(work, writes=True)
        self._publish(applied.after)
        return applied

    async def reset(self, entry: AuditEntry, halt: Halt | None) -> State:
        """Overwrite the store with a state without faults; the old content is kept in the table `unreadable`."""

        def work() -> State:
            with tables.transaction(self._db) as db:
                mark = self._watermark.read()
                least = max(self._snapshot.state.revision, mark.revision if mark else 0)
                return tables.reset(db, entry, self._snapshot.state.emptied(least, halt))

        return await self._write(work)

    async def _write(self, work: Callable[[], State]) -> State:
        """Run a transaction and take over the state that it stored."""

        def work_and_record() -> State:
            state = work()
            self._record_stored(state)
            return state

        state = await self._run(work_and_record, writes=True)
        self._publish(state)
        return state

    def _record_stored(self, state: State) -> None:
        self._reader.remember(write_state(state), state)
        self._watermark.advance(state.revision, self.now())

    def _publish(self, state: State) -> None:
        self._readable = True
        self._snapshot.update(state)

    async def refresh(self) -> State:
        await self._poll()
        return self._snapshot.state

    async def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        latest = MAX_REVISION + 1 if before is None else before
        rows = await self._run(lambda: tables.read_audit(self._db, limit, latest))
        return await asyncio.to_thread(read_entries, rows)

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        seen = replica.model_copy(update={"seen": self.now()})

        def work() -> None:
            with tables.transaction(self._db) as db:
                tables.write_report(db, seen, tallies, leaving=leaving)
            self._watermark.advance(replica.revision, seen.seen)

        await self._run(work, writes=True)

    async def replicas(self) -> list[Replica]:
        rows = await self._run(lambda: self._db.execute("SELECT replica FROM replicas ORDER BY id").fetchall())
        return [replica for replica in read_valid(Replica, (text for (text,) in rows)) if replica.is_alive(self.now())]

    async def tallies(self, faults: Collection[str]) -> dict[str, dict[str, str]]:
        def work() -> dict[str, dict[str, str]]:
            query = "SELECT replica, tally FROM tallies WHERE fault = ?"
            return {fault: dict(self._db.execute(query, (fault,)).fetchall()) for fault in faults}

        return await self._run(work)

    def _open(self) -> sqlite3.Connection:
        db = tables.connect(self._path, _LOCK_TIMEOUT_S)
        db.execute("DELETE FROM replicas WHERE seen < ?", (self.now() - 86400,))
        self._file = os.stat(self._path)  # noqa: PTH116 - for samestat
        self._watermark.open()
        return db

    async def _keep_polling(self) -> None:
        while True:
            await asyncio.sleep(_POLL_INTERVAL_S)
            try:
                with contextlib.suppress(StoreUnavailable):
                    await self._poll()
            except Exception:
                log.exception("the store cannot be read")

    async def _poll(self) -> None:
        """Take over changes of other processes, and changes of this one whose caller was cancelled."""

        def work() -> tuple[int, State | None]:
            # Not PRAGMA data_version: it overlooks changes of this connection, and every heartbeat moves it.
            revision = tables.read_revision(self._db)
            same = self._readable and revision <= self._snapshot.state.revision
            return revision, None if same else tables.read_state(self._db, self._reader)

        revision, state = await self._run(work)
        self._readable = True
        if revision < self._snapshot.state.revision:
            await self._end_all(self._snapshot.state.revision, OLDER_COPY)
        elif state:
            self._snapshot.update(state)

    async def _run(self, work: Callable[[], T], *, writes: bool = False) -> T:
        """Run work in the store's thread; raises StoreUnavailable for every error of the file."""
        was = self.up
        due = time.monotonic() + _LOCK_TIMEOUT_S

        def timely() -> T:
            # The time-outs of queued writes run in parallel: one after the other, they would hold up reads.
            tables.set_lock_timeout(self._db, due - time.monotonic() if writes else _LOCK_TIMEOUT_S)
            return self._run_if_same_file(work)

        try:
            result = await self._in_thread(timely)
        except (sqlite3.Error, OSError) as error:
            self._writable = False
            away = StoreUnavailable(f"the store {self._path.name} cannot be used: {error}")
            away.__cause__ = error
        except StoreUnreadable as error:
            self._readable = False
            away = error
        else:
            self._writable = self._writable or writes
            return result
        if was:
            log.warning("the store is away", store=str(self._path), reason=str(away))
        raise away

    def _run_if_same_file(self, work: Callable[[], T]) -> T:
        """Run work unless the file was moved or deleted, and other processes see another one."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(self._file, os.stat(self._path)):  # noqa: PTH116 - for samestat
                return work()
        raise FileNotFoundError("the file was moved or deleted; put it back, or restart the service")

    async def _in_thread(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)
