"""What to do when a store comes back and knows less than a replica: restarted empty, restored, or failed over.

What was lost cannot be known: a fault that somebody ended may run again in an old state. So all faults end, and the
revision goes on from the highest that anybody saw.
"""

import secrets
from itertools import chain
from typing import Final, NamedTuple

from chaosapi.state import AuditEntry, State, end_all
from chaosapi.store.codec import read, write

REASON: Final = "the store had lost changes"


class Held(NamedTuple):
    """A state, and the history it is part of: another one begins where changes were lost."""

    epoch: str
    """Empty where nothing was ever stored."""
    state: State

    @property
    def mark(self) -> tuple[str, int]:
        """Return what tells it from all others."""
        return self.epoch, self.state.revision


def healed(mine: Held, theirs: Held, now: float) -> State | None:
    """Return the state that must take the place of the stored one; None where that is to be taken as it is.

    `mine` is what this replica knew before it read `theirs`.
    """
    if mine.state.revision == 0 or theirs.state.revision > mine.state.revision:
        return None
    if theirs == mine:
        return None
    if theirs.epoch and theirs.epoch != mine.epoch:
        # Another replica has healed it, but knew less: its faults stay, and the revision does not go backwards.
        return theirs.state.model_copy(update={"revision": mine.state.revision + 1})
    return end_all(now)(mine.state).model_copy(update={"revision": mine.state.revision + 1})


def entry(state: State, now: float) -> AuditEntry:
    """Return what the audit says of a healed state."""
    return AuditEntry(revision=state.revision, at=now, actor="store", action="end_all", reason=REASON)


def line(entry: AuditEntry) -> str:
    """Return the entry as it is kept: behind a random word, which tells a repeated change from one just like it."""
    return f"{secrets.token_hex(8)} {write(entry)}"


def entry_of(line: str) -> AuditEntry:
    """Return the entry that a line holds."""
    return read(AuditEntry, line.partition(" ")[2])


def merged(*audits: list[str]) -> list[str]:
    """Return the lines of several audits, each once, newest first."""
    return sorted(dict.fromkeys(chain(*audits)), key=lambda line: entry_of(line).revision, reverse=True)
