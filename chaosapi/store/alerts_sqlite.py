"""The inbox of several workers."""

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
"""Seconds to wait for another worker that is writing."""
_BATCH: Final = 100
"""Deliveries that are read at once."""
_DELETE_OLD: Final = """
DELETE FROM inbox WHERE number <= (
    SELECT max(number) FROM (
        SELECT number, row_number() OVER newest AS place, sum(length(delivery)) OVER newest AS size
        FROM inbox WINDOW newest AS (ORDER BY number DESC)
    ) WHERE place > ? OR size > ?
)
"""
"""Deletes what is older than so many deliveries, or so many characters."""

_DELIVERY: Final = TypeAdapter(Delivery)

log = get_logger("chaosapi.store.alerts")


class SharedInbox(Inbox):
    """Kept in a file: whichever of the workers a delivery reaches, all know of it once they `catch_up`.

    What the file cannot take, because the disk is full, only this worker knows.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._db = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_S, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = OFF")  # it lives no longer than the service
        self._db.execute("CREATE TABLE IF NOT EXISTS inbox (number INTEGER PRIMARY KEY AUTOINCREMENT, delivery TEXT)")
        self._db_lock = threading.Lock()
        self._catch_up_lock = asyncio.Lock()
        self._last_read = 0
        """The last delivery of the file that was taken in here."""

    async def receive(self, news: Sequence[Delivery]) -> None:
        """Take deliveries in, for all."""
        try:
            await asyncio.to_thread(self._write, news)
        except sqlite3.Error as error:
            log.warning("other workers will not know of these alerts", alerts=len(news), reason=str(error))
            await super().receive(news)

    async def catch_up(self) -> None:
        """Take in what any worker was told."""
        async with self._catch_up_lock:
            try:
                while found := await asyncio.to_thread(self._read):
                    for number, delivery in found:
                        self._deliver(delivery, number)
                        self._last_read = number
            except sqlite3.Error as error:
                log.warning("what other workers were told of alerts is not known", reason=str(error))

    def _write(self, news: Sequence[Delivery]) -> None:
        rows = [(_DELIVERY.dump_json(each).decode(),) for each in news]
        with self._db_lock, self._db:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO inbox (delivery) VALUES (?)", rows)
            self._db.execute(_DELETE_OLD, (_MAX_ROWS, MAX_BYTES))

    def _read(self) -> list[tuple[int, Delivery]]:
        query = "SELECT number, delivery FROM inbox WHERE number > ? ORDER BY number LIMIT ?"
        with self._db_lock:
            rows = self._db.execute(query, (self._last_read, _BATCH)).fetchall()
        return [(number, _DELIVERY.validate_json(text)) for number, text in rows]
