"""The inbox that several workers share."""

import asyncio
import sqlite3
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter

from chaosapi.logger import get_logger
from chaosapi.store.alerts import MAX_BYTES, Delivery, Inbox

_MAX_ROWS: Final = 10_000
_LOCK_TIMEOUT_S: Final = 1.0
"""How long to wait for another worker's write."""
_BATCH: Final = 100
"""Deliveries that one query reads."""
_DELETE_OLD: Final = """
DELETE FROM inbox WHERE number <= (
    SELECT max(number) FROM (
        SELECT number, row_number() OVER newest AS place, sum(length(delivery)) OVER newest AS size
        FROM inbox WINDOW newest AS (ORDER BY number DESC)
    ) WHERE place > ? OR size > ?
)
"""
"""Keeps the newest deliveries up to a number and up to a number of characters, and deletes all older ones."""

_DELIVERY: Final = TypeAdapter(Delivery)

log = get_logger("chaosapi.store.alerts")


class SharedInbox(Inbox):
    """Keeps deliveries in a file: after `catch_up` each worker has those that any worker received.

    If the file cannot be written (disk full), only the worker that received a delivery has it.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._db = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = OFF")  # the file is deleted when the service ends
        self._db.execute("CREATE TABLE IF NOT EXISTS inbox (number INTEGER PRIMARY KEY AUTOINCREMENT, delivery TEXT)")
        self._db_lock = threading.Lock()
        self._catch_up_lock = asyncio.Lock()
        self._last_read = 0
        """The number of the last delivery that this worker read from the file."""

    async def receive(self, deliveries: Sequence[Delivery]) -> None:
        """Write deliveries to the file, for all workers."""
        try:
            await asyncio.to_thread(self._write, deliveries)
        except sqlite3.Error as error:
            log.warning("alerts could not be shared with other workers", alerts=len(deliveries), reason=str(error))
            await super().receive(deliveries)

    async def catch_up(self) -> None:
        """Read from the file what any worker received since the last call."""
        async with self._catch_up_lock:
            try:
                while found := await asyncio.to_thread(self._read):
                    for number, delivery in found:
                        self._deliver(delivery, number)
                        self._last_read = number
            except sqlite3.Error as error:
                log.warning("alerts of other workers could not be read", reason=str(error))

    def _write(self, deliveries: Sequence[Delivery]) -> None:
        rows = [(_DELIVERY.dump_json(delivery).decode(),) for delivery in deliveries]
        with self._db_lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO inbox (delivery) VALUES (?)", rows)
            self._db.execute(_DELETE_OLD, (_MAX_ROWS, MAX_BYTES))

    def _read(self) -> list[tuple[int, Delivery]]:
        query = "SELECT number, delivery FROM inbox WHERE number > ? ORDER BY number LIMIT ?"
        with self._db_lock:
            rows = self._db.execute(query, (self._last_read, _BATCH)).fetchall()
        return [(number, _DELIVERY.validate_json(text)) for number, text in rows]
