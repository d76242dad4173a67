"""What a change tells the other replicas: only what is new, so that it costs the same with few faults and many."""

from itertools import takewhile
from typing import Self

from chaosapi.fault import Record
from chaosapi.models import Model
from chaosapi.state import Halt, State


class Announcement(Model):
    """One step from a state to the next. A version is a random word that tells a stored state from all others."""

    epoch: str
    version: str
    follows: str
    """The version that it starts from; empty where nothing was ever stored."""
    revision: int
    halt: Halt | None
    first: tuple[Record, ...]
    """The faults that the step made or changed, as far as the new state begins with them."""
    changed: tuple[Record, ...]
    """The others that it changed, which keep their places."""
    dropped: frozenset[str]
    """The names of those that the state no longer knows."""
    line: str
    """The line of the audit."""

    @classmethod
    def of(cls, before: State, after: State, **about: str) -> Self:
        """Tell what one change, which raises the revision by one, made of a state."""
        first = tuple(takewhile(lambda record: record.revision == after.revision, after.faults))
        changed = tuple(record for record in after.faults[len(first) :] if record.revision == after.revision)
        dropped = {record.name for record in before.faults} - {record.name for record in after.faults}
        return cls(
            revision=after.revision, halt=after.halt, first=first, changed=changed, dropped=frozenset(dropped), **about
        )

    def made(self, before: State) -> State:
        """Make the same step."""
        moved = self.dropped | {record.name for record in self.first}
        changed = {record.name: record for record in self.changed}
        kept = [changed.get(record.name, record) for record in before.faults if record.name not in moved]
        return State(revision=self.revision, halt=self.halt, faults=(*self.first, *kept))
