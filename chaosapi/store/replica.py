"""A process that serves traffic, as other replicas see it."""

import os
import secrets
from typing import Final, Self

from chaosapi.models import Model, Moment

HEARTBEAT_S: Final = 1.0
ALIVE_FOR_S: Final = 5 * HEARTBEAT_S
"""A replica whose last heartbeat is older counts as dead."""


class Replica(Model):
    """The identity and the progress of a replica. Times are Unix seconds in UTC."""

    id: str
    name: str = ""
    """The name that it keeps after a restart; its id unless it has one."""
    host: str
    pid: int
    started: Moment
    revision: int = 0
    """The latest revision that the replica has applied."""
    applied_at: Moment = 0.0
    """When it applied that revision, by the store's clock."""
    seen: Moment = 0.0
    """The last heartbeat, by the store's clock; the store fills it in."""

    @classmethod
    def started_now(cls, name: str | None, host: str, now: float) -> Self:
        """Return this process as a replica."""
        number = f"{host}-{secrets.token_hex(4)}"
        return cls(id=number, name=name or number, host=host, pid=os.getpid(), started=now)

    def is_alive(self, now: float) -> bool:
        """Return whether the last heartbeat is recent."""
        return abs(now - self.seen) < ALIVE_FOR_S
