import sqlite3
from pathlib import Path
from typing import Final

from chaosapi.inbox import DeliveredAlert, Delivery, Inbox

_KEPT: Final = 10_000


class SharedInbox(Inbox):
    """The inbox of several workers, kept in a file: whichever of them a delivery reaches, all know of it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        # Not the thread that will use it, but only one will.
        self._db = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA synchronous = OFF")  # it lives no longer than the service
        self._db.execute("CREATE TABLE IF NOT EXISTS inbox (number INTEGER PRIMARY KEY AUTOINCREMENT, delivery TEXT)")
        self._read = 0

    def take(self, news: Delivery) -> None:
        """Take one in, for all."""
        added = self._db.execute("INSERT INTO inbox (delivery) VALUES (?)", (news.model_dump_json(),))
        self._db.execute("DELETE FROM inbox WHERE number <= ?", ((added.lastrowid or 0) - _KEPT,))

    def latest(self, limit: int) -> list[DeliveredAlert]:
        """Return the latest deliveries to any of them, newest first."""
        self._catch_up()
        return super().latest(limit)

    def firing(self) -> list[DeliveredAlert]:
        """Return the alerts that are firing, each as it was last delivered."""
        self._catch_up()
        return super().firing()

    def _catch_up(self) -> None:
        query = "SELECT number, delivery FROM inbox WHERE number > ? ORDER BY number"
        for number, text in self._db.execute(query, (self._read,)).fetchall():
            super().take(Delivery.model_validate_json(text))
            self._read = number
