"""A process that serves traffic, as other replicas see it."""

from typing import Final

from chaosapi.models import Model, Moment

HEARTBEAT_S: Final = 1.0
ALIVE_FOR_S: Final = 5 * HEARTBEAT_S
"""A replica whose last heartbeat is older counts as dead."""


class Replica(Model):
    """The identity and the progress of a replica. Times are Unix seconds in UTC."""

    id: str
    host: str
    pid: int
    started: Moment
    revision: int = 0
    """The latest revision that the replica has applied."""
    applied_at: Moment = 0.0
    """When it applied that revision, by the store's clock."""
    seen: Moment = 0.0
    """The last heartbeat, by the store's clock; the store fills it in."""

    def is_alive(self, now: float) -> bool:
        """Return whether the last heartbeat is recent."""
        return abs(now - self.seen) < ALIVE_FOR_S
