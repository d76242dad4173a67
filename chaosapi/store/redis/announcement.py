"""The message that announces a change to the other replicas: a diff, so its size does not grow with the faults."""

from itertools import takewhile
from typing import Annotated, Any, Self

from pydantic import FailFast

from chaosapi.access import IssuedToken
from chaosapi.faults.fault import Record
from chaosapi.faults.state import Diff, Halt, State
from chaosapi.models import Model
from chaosapi.world.changes import WorldChange, with_latest
from chaosapi.world.world import Own


class Announcement(Model):
    """The difference between a state and the next one. A version is a random token that identifies a stored state."""

    epoch: str
    version: str
    follows: str
    """The version of the earlier state; empty if nothing was stored before."""
    revision: int
    halt: Halt | None
    first: Annotated[tuple[Record, ...], FailFast()]
    """The new and changed faults that the new state begins with."""
    changed: Annotated[tuple[tuple[int, Record], ...], FailFast()]
    """The other changed faults, with their indexes in the earlier state."""
    gone: Annotated[tuple[int, ...], FailFast()]
    """The indexes in the earlier state, ascending, of faults that were dropped or are now in `first`."""
    world: Own | None = None
    """The new world; None if it is unchanged."""
    world_change: WorldChange | None = None
    """The change that led to it."""
    tokens: tuple[IssuedToken, ...] | None = None
    """The issued tokens; None if they are unchanged."""
    line: str
    """The audit line."""

    @classmethod
    def of(cls, before: State, after: State, **about: str) -> Self:
        """Return the announcement of a change."""
        came, went = Diff.of(before, after)
        leading = takewhile(lambda pair: pair[0] is pair[1], zip(came, after.faults, strict=False))
        first = tuple(record for record, _ in leading)
        places = {record.name: place for place, record in went.items()}
        changed = tuple((places.pop(record.name), record) for record in came[len(first) :])
        return cls(
            revision=after.revision,
            halt=after.halt,
            first=first,
            changed=changed,
            gone=tuple(places.values()),
            world=after.world if after.world_revision != before.world_revision else None,
            world_change=after.world_changes[0] if after.world_revision != before.world_revision else None,
            tokens=after.tokens if after.tokens != before.tokens else None,
            **about,
        )

    def apply(self, before: State) -> State:
        """Return the state after the change."""
        faults = list(before.faults)
        for place, record in self.changed:
            faults[place] = record
        for place in reversed(self.gone):
            del faults[place]
        update: dict[str, Any] = {"revision": self.revision, "halt": self.halt, "faults": (*self.first, *faults)}
        if self.world and self.world_change:
            update |= {"world": self.world, "world_changes": with_latest(self.world_change, before.world_changes)}
        if self.tokens is not None:
            update["tokens"] = self.tokens
        return before.model_copy(update=update)
