"""What a change tells the other replicas: only what is new, so that it costs the same with few faults and many."""

from itertools import takewhile
from typing import Self

from chaosapi.faults.fault import Record
from chaosapi.faults.state import Diff, Halt, State
from chaosapi.models import Model


class Announcement(Model):
    """One step from a state to the next. A version is a random word that tells a stored state from all others."""

    epoch: str
    version: str
    follows: str
    """The version that it starts from; empty where nothing was ever stored."""
    revision: int
    halt: Halt | None
    first: tuple[Record, ...]
    """The new and changed faults that the new state begins with."""
    changed: tuple[tuple[int, Record], ...]
    """The other changed ones, with their places in the former state."""
    gone: tuple[int, ...]
    """The places there, in order, of those that are no longer there: dropped, or now among the first."""
    line: str
    """The line of the audit."""

    @classmethod
    def of(cls, before: State, after: State, **about: str) -> Self:
        """Tell what one change made of a state."""
        came, went = Diff.of(before, after)
        first = tuple(
            old for old, new in takewhile(lambda pair: pair[0] is pair[1], zip(came, after.faults, strict=False))
        )
        places = {record.name: place for place, record in went.items()}
        changed = tuple((places.pop(record.name), record) for record in came[len(first) :])
        return cls(
            revision=after.revision,
            halt=after.halt,
            first=first,
            changed=changed,
            gone=tuple(places.values()),
            **about,
        )

    def apply(self, before: State) -> State:
        """Make the same step."""
        faults = list(before.faults)
        for place, record in self.changed:
            faults[place] = record
        for place in reversed(self.gone):
            del faults[place]
        update = {"revision": self.revision, "halt": self.halt, "faults": (*self.first, *faults)}
        return before.model_copy(update=update)
