"""One process that serves traffic, as it is seen by the others."""

from typing import Final

from chaosapi.models import Model, Moment

HEARTBEAT_S: Final = 1.0
"""Seconds between two signs of life."""
ALIVE_FOR_S: Final = 5 * HEARTBEAT_S
"""Seconds after which a replica that gave no sign of life counts as gone."""


class Replica(Model):
    """Who it is, and how far it has come. Times are Unix seconds in UTC; `seen` is in the store's time."""

    id: str
    host: str
    pid: int
    started: Moment
    revision: int = 0
    """The latest revision that it has applied."""
    applied_at: Moment = 0.0
    """When it had, in the store's time."""
    seen: Moment = 0.0
    """Its last sign of life; the store fills it in."""

    def is_alive(self, now: float) -> bool:
        """Tell whether it gave a sign of life lately."""
        return abs(now - self.seen) < ALIVE_FOR_S
