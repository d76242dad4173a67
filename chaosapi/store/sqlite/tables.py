"""The tables of the SQLite store and their queries; call them in the connection's thread."""

import contextlib
import os
import sqlite3
import stat
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from chaosapi.errors import StoreUnreadable
from chaosapi.faults.changes import end_all
from chaosapi.faults.state import AuditEntry, State
from chaosapi.models import MAX_REVISION
from chaosapi.store.codec import (
    LARGE_ENTRY_BYTES,
    MAX_AUDIT_BYTES,
    MAX_AUDIT_ENTRIES,
    MAX_STATE,
    UNREADABLE,
    StateReader,
    tally_key,
    write,
    write_state,
)
from chaosapi.store.replica import Replica

_RETRY_INTERVAL_S: Final = 0.01
"""Pause before retrying what another process's lock prevented."""
_SCHEMA: Final = (
    """CREATE TABLE IF NOT EXISTS state (
        id INTEGER PRIMARY KEY CHECK (id = 1), revision INTEGER NOT NULL, state TEXT NOT NULL)""",
    "CREATE TABLE IF NOT EXISTS audit (number INTEGER PRIMARY KEY AUTOINCREMENT, entry TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS replicas (id TEXT PRIMARY KEY, seen REAL NOT NULL, replica TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS tallies (
        fault TEXT NOT NULL, replica TEXT NOT NULL, tally TEXT NOT NULL, PRIMARY KEY (fault, replica))""",
    "CREATE TABLE IF NOT EXISTS unreadable (number INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL, state)",
)
_MAX_UNREADABLE: Final = 3
"""How many unreadable states are kept."""
_MAX_UNREADABLE_CHARACTERS: Final = 1_000_000
"""How many characters of each unreadable state are kept."""


def connect(path: Path, lock_timeout_s: float) -> sqlite3.Connection:
    """Open or create the file, waiting for other processes' locks; raises OSError or sqlite3.Error."""
    _make_private(path)
    db = sqlite3.connect(path, timeout=lock_timeout_s, isolation_level=None, check_same_thread=False)
    _enable_write_ahead_log(db, lock_timeout_s)
    db.execute("PRAGMA synchronous = NORMAL")  # no fsync per commit; only a power cut loses commits
    create_tables(db)
    return db


def _enable_write_ahead_log(db: sqlite3.Connection, timeout_s: float) -> None:
    """Let readers and a writer work at once; retry if several processes create the file.

    SQLite refuses all processes but one, and does not wait for the lock.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            db.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_RETRY_INTERVAL_S)
        else:
            return


def set_lock_timeout(db: sqlite3.Connection, seconds: float) -> None:
    """Set how long statements wait for another process's lock; at 0 or less they try once."""
    db.execute(f"PRAGMA busy_timeout = {max(0, round(1000 * seconds))}")


def create_tables(db: sqlite3.Connection) -> None:
    """Create the tables that are missing."""
    for statement in _SCHEMA:
        db.execute(statement)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Commit the block as one transaction, or roll it back on an error; other processes wait."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def reset(db: sqlite3.Connection, entry: AuditEntry, empty: State) -> State:
    """Write a state without faults, above its revision and the stored one; keep the old content for inspection."""
    create_tables(db)
    revision = max(empty.revision, read_revision(db)) + 1
    result = empty.model_copy(update={"revision": min(revision, MAX_REVISION)})
    db.execute(
        "INSERT INTO unreadable (at, state) SELECT ?, substr(state, 1, ?) FROM state",
        (entry.at, _MAX_UNREADABLE_CHARACTERS),
    )
    db.execute("DELETE FROM unreadable WHERE number <= (SELECT max(number) FROM unreadable) - ?", (_MAX_UNREADABLE,))
    write_state_and_audit(db, result, entry)
    db.execute("DELETE FROM tallies")
    return result


def write_report(db: sqlite3.Connection, seen: Replica, tallies: Mapping[str, str], *, leaving: bool) -> None:
    """Write a replica's heartbeat, or remove it, and write its tallies."""
    db.execute("DELETE FROM replicas WHERE id = ?", (seen.id,))
    if not leaving:
        db.execute("INSERT INTO replicas VALUES (?, ?, ?)", (seen.id, seen.seen, write(seen)))
    rows = [(fault, seen.id, text) for fault, text in tallies.items()]
    db.executemany("INSERT OR REPLACE INTO tallies VALUES (?, ?, ?)", rows)


def _make_private(path: Path) -> None:
    """Create the file if it is missing, and restrict it to its owner; SQLite's -wal and -shm files copy its mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    for file in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with contextlib.suppress(OSError):  # the file is missing, or another user's
            if stat.S_IMODE(file.stat().st_mode) & 0o077:
                file.chmod(0o600)


def read_revision(db: sqlite3.Connection) -> int:
    """Return the stored revision; 0 if there is none."""
    row = db.execute("SELECT revision FROM state WHERE typeof(revision) = 'integer'").fetchone()
    return row[0] if row and 0 <= row[0] <= MAX_REVISION else 0


def read_state(db: sqlite3.Connection, reader: StateReader) -> State:
    """Return the stored state; raises StoreUnreadable."""
    # No more than the first character that makes it too large: somebody else may have written a gigabyte.
    row = db.execute("SELECT substr(state, 1, ?), revision FROM state", (MAX_STATE + 1,)).fetchone()
    if row is None:
        return State()
    found = reader.read(row[0])
    if found.revision != row[1]:
        raise StoreUnreadable(f"{UNREADABLE}: its revision is {found.revision}, not {row[1]}")
    return found


def write_state_and_audit(db: sqlite3.Connection, state: State, entry: AuditEntry) -> None:
    """Write a state, and the audit entry of the change that led to it."""
    row = (state.revision, write_state(state))
    db.execute("INSERT OR REPLACE INTO state (id, revision, state) VALUES (1, ?, ?)", row)
    text = write(entry.signed(state))
    added = db.execute("INSERT INTO audit (entry) VALUES (?)", (text,)).lastrowid or 0
    db.execute("DELETE FROM audit WHERE number <= ?", (added - MAX_AUDIT_ENTRIES,))
    if len(text) > LARGE_ENTRY_BYTES:
        sizes = "SELECT number, sum(length(entry)) OVER (ORDER BY number DESC) AS size FROM audit"
        past = f"SELECT number FROM ({sizes}) WHERE size > ?"  # noqa: S608 - no input
        db.execute(f"DELETE FROM audit WHERE number < ? AND number IN ({past})", (added, MAX_AUDIT_BYTES))  # noqa: S608 - no input


def end_all_faults(db: sqlite3.Connection, found: State, least: int, reason: str, now: float) -> State:
    """End all faults of a stored state that is an older copy, at an unused revision, and return the result."""
    ended = end_all(now)(found).model_copy(update={"revision": max(found.revision, least) + 1})
    write_state_and_audit(db, ended, AuditEntry(at=now, actor="store", action="end_all", reason=reason))
    return ended


def read_audit(db: sqlite3.Connection, limit: int, before: int) -> list[str]:
    """Return the latest audit entries of revisions before one, as JSON, newest first."""
    # Each entry begins with {"revision":17, so its revision is read without parsing the rest.
    query = "SELECT entry FROM audit WHERE CAST(substr(entry, 13, 17) AS INTEGER) < ? ORDER BY number DESC LIMIT ?"
    return [str(text) for (text,) in db.execute(query, (before, limit)).fetchall()]


def drop_stale_tallies(db: sqlite3.Connection, state: State) -> None:
    """Delete the tallies of dropped faults, also those that a late replica reported after an earlier deletion."""
    known = {tally_key(record) for record in state.faults}
    found = db.execute("SELECT DISTINCT fault FROM tallies").fetchall()
    db.executemany("DELETE FROM tallies WHERE fault = ?", [row for row in found if row[0] not in known])
