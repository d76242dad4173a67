"""Whether faults that are found at start may go on: what was ended after a copy of the store was made must stay ended.

Replicas that live know what was ended. Where none does, only the store can tell that it is not an older copy: by the
last revision that was noted apart from the state, by the last sign of life, and for Redis by the server that took it.
"""

from typing import Final, NamedTuple

LEASE_S: Final = 60.0
"""Seconds for which faults outlive the last process that ran them."""
OLDER_COPY: Final = "the store was put back from an older copy"
UNATTENDED: Final = "nobody ran the faults for a while, or the store is a copy"
RESTARTED: Final = "the store was started anew while nobody ran the faults: it may be an older copy"


class Lease(NamedTuple):
    """The last revision that was stored, the last sign of life in Unix seconds, and which server took it."""

    revision: int
    seen: float
    server: str = ""


def reason_to_end(mark: Lease | None, revision: int, now: float, server: str = "") -> str | None:
    """Say why faults of a state found at this revision may not go on; None where they may."""
    if mark is None:
        return UNATTENDED
    if revision < mark.revision:
        return OLDER_COPY
    if mark.server != server:
        return RESTARTED
    return None if abs(now - mark.seen) < LEASE_S else UNATTENDED
