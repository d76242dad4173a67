"""Decide at startup whether the stored faults may continue: a restored backup must not revive a fault that was ended.

Live replicas know which faults were ended. If none is alive, the store needs proof that it is not an older copy: the
last revision, kept apart from the state, the last heartbeat, and for Redis the server's run id.
"""

from typing import Final, NamedTuple

LEASE_S: Final = 60.0
"""How long faults survive the last heartbeat of a process that ran them."""
OLDER_COPY: Final = "the store was restored from an older copy"
UNATTENDED: Final = "no process ran the faults for a while, or the store is a copy"
RESTARTED: Final = "the store was restarted while no process ran the faults: it may be an older copy"


class Lease(NamedTuple):
    """The last stored revision, the last heartbeat (Unix seconds), and the id of the server that stored it."""

    revision: int
    seen: float
    server: str = ""


def reason_to_end(mark: Lease | None, revision: int, now: float, server: str = "") -> str | None:
    """Return why the faults of a state at this revision must end; None if they may continue."""
    if mark is None:
        return UNATTENDED
    if revision < mark.revision:
        return OLDER_COPY
    if mark.server != server:
        return RESTARTED
    return None if abs(now - mark.seen) < LEASE_S else UNATTENDED
