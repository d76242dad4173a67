"""What to do when a store comes back and knows less than a replica: restarted empty, restored, or failed over.

What was lost cannot be known: a fault that somebody ended may run again in an old state. So all faults end, and the
revision leaps: others may have been told of changes that this replica never heard of, and no revision is used twice.
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
"""More changes than a replica can have missed when it heals the store."""
_MAX_LEAP: Final = 1_000_000
"""Two replicas that heal at once, or one after the other and unheard of, leap to different revisions."""


def revision_leap() -> int:
    """Return by how much a healed revision exceeds what is known."""
    return _MAX_MISSED + secrets.randbelow(_MAX_LEAP)


class EpochState(NamedTuple):
    """A state, and the history it is part of: another one begins where changes were lost."""

    epoch: str
    """Empty where nothing was ever stored."""
    state: State

    @property
    def version(self) -> tuple[str, int]:
        """Return what tells it from all others."""
        return self.epoch, self.state.revision


def recovered_state(mine: EpochState, theirs: EpochState, now: float, by: int) -> State | None:
    """Return the state that must take the place of the stored one; None where that is to be taken as it is.

    `mine` is what this replica knew before it read `theirs`; the revision leaps `by` so many.
    """
    if mine.state.revision == 0 or theirs.state.revision > mine.state.revision:
        return None
    if theirs == mine:
        return None
    if theirs.epoch and theirs.epoch != mine.epoch:
        # Another replica has healed it, but knew less: its faults stay, and the revision does not go backwards.
        return theirs.state.model_copy(update={"revision": mine.state.revision + by})
    return ended_state(mine.state, now, by)


def ended_state(state: State, now: float, by: int) -> State:
    """Return the state with all faults ended, at a revision so much higher."""
    return end_all(now)(state).model_copy(update={"revision": state.revision + by})


def recovery_entry(state: State, now: float, reason: str = LOST_CHANGES) -> AuditEntry:
    """Return what the audit says of a healed state."""
    return AuditEntry(revision=state.revision, at=now, actor="store", action="end_all", reason=reason)


def audit_line(entry: AuditEntry) -> str:
    """Return the entry as it is kept: behind a random word, which tells a repeated change from one just like it."""
    return f"{secrets.token_hex(8)} {write(entry)}"


def entry_text(line: str) -> str:
    """Return the entry that a line holds, as text."""
    return line.partition(" ")[2]


def merge_audits(*audits: list[str]) -> list[str]:
    """Return the lines of several audits, each once, newest first, without what is no line of an audit."""
    lines = {line: number for line in chain(*audits) if (number := line_revision(line)) is not None}
    return sorted(lines, key=lines.__getitem__, reverse=True)
