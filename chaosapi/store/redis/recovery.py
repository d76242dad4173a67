"""Heal a store that comes back with fewer changes than a replica knows: restarted empty, restored, or failed over.

The lost changes are unknown: a fault that was ended may run again in an old state. So all faults end, and the revision
leaps: other replicas may know changes that this replica never received, and no revision is used twice.
"""

import secrets
from itertools import chain
from typing import Final, NamedTuple

from chaosapi.faults.changes import end_all
from chaosapi.faults.state import AuditEntry, State
from chaosapi.store.codec import write
from chaosapi.store.redis.audit_cache import line_revision

LOST_CHANGES: Final = "the store had lost changes"
_MAX_MISSED: Final = 1000
"""More changes than a replica can miss before it heals the store."""
_MAX_LEAP: Final = 1_000_000
"""A random leap below this: two replicas that heal the store independently choose different revisions."""


def revision_leap() -> int:
    """Return how far a healed revision is above the known one."""
    return _MAX_MISSED + secrets.randbelow(_MAX_LEAP)


class EpochState(NamedTuple):
    """A state, and the epoch that it belongs to: a new epoch begins when changes were lost."""

    epoch: str
    """Empty if nothing was ever stored."""
    state: State


def recovered_state(known: EpochState, stored: EpochState, now: float, leap: int) -> State | None:
    """Return the state that must replace the stored one; None if the stored one is valid.

    `known` is this replica's state before it read `stored`.
    """
    if known.state.revision == 0 or stored.state.revision > known.state.revision:
        return None
    if stored == known:
        return None
    if stored.epoch and stored.epoch != known.epoch:
        # A replica with fewer changes has healed the store: keep its faults, but never lower the revision.
        return stored.state.with_newer_world(known.state).model_copy(update={"revision": known.state.revision + leap})
    return ended_state(known.state, now, leap)


def ended_state(state: State, now: float, leap: int) -> State:
    """Return the state with all faults ended, and the revision raised by `leap`."""
    return end_all(now)(state).model_copy(update={"revision": state.revision + leap})


def recovery_entry(state: State, now: float, reason: str = LOST_CHANGES) -> AuditEntry:
    """Return the audit entry of a healed state."""
    return AuditEntry(revision=state.revision, at=now, actor="store", action="end_all", reason=reason)


def audit_line(entry: AuditEntry) -> str:
    """Return the entry as JSON after a random token, which makes a retried write recognizable."""
    return f"{secrets.token_hex(8)} {write(entry)}"


def entry_text(line: str) -> str:
    """Return the JSON of the entry in an audit line."""
    return line.partition(" ")[2]


def merge_audits(*audits: list[str]) -> list[str]:
    """Return the lines of several audits without duplicates and malformed lines, newest first."""
    lines = {line: number for line in chain(*audits) if (number := line_revision(line)) is not None}
    return sorted(lines, key=lines.__getitem__, reverse=True)
