"""The state that all replicas share: faults, the halt, the world, issued tokens; and the audit log of its changes."""

from typing import Annotated, Literal, NamedTuple, Self

from pydantic import FailFast

from chaosapi.access import IssuedToken
from chaosapi.errors import NotFound
from chaosapi.faults.fault import Fault, Record
from chaosapi.models import Model, Moment, Revision
from chaosapi.world.changes import FieldChange, WorldChange
from chaosapi.world.world import Own, World

Action = Literal[
    "create", "replace", "patch", "end", "end_all", "halt", "resume", "world", "issue_token", "revoke_token"
]


class Halt(Model):
    """A halt: all faults have been ended and new ones are refused."""

    since: Moment
    reason: str


class State(Model):
    """The faults, newest first, whether chaos is halted, the world, and issued tokens."""

    revision: Revision = 0
    faults: Annotated[tuple[Record, ...], FailFast()] = ()  # a store may have a million wrong ones
    halt: Halt | None = None
    world: Own = World()
    """What operators have set; `Engine.state` has the whole world, with the settings of its replica for the rest."""
    world_changes: tuple[WorldChange, ...] = ()
    """The latest changes of the world, newest first."""
    tokens: tuple[IssuedToken, ...] = ()
    """The tokens that instructors have issued, newest first; expired ones are dropped with the next change of them."""

    @property
    def world_revision(self) -> int:
        """Return the revision that last changed the world; 0 if none has."""
        return self.world_changes[0].revision if self.world_changes else 0

    @property
    def world_number(self) -> int:
        """Return how often the world has changed."""
        return self.world_changes[0].number if self.world_changes else 0

    def emptied(self, revision: int, halt: Halt | None) -> "State":
        """Return the state at another revision, without faults."""
        return self.model_copy(update={"revision": revision, "faults": (), "halt": halt})

    def with_newer_world(self, other: "State") -> "State":
        """Return this state with the world of `other`, if that was changed later."""
        if other.world_revision <= self.world_revision:
            return self
        return self.model_copy(update={"world": other.world, "world_changes": other.world_changes})

    def live(self, now: float) -> list[Record]:
        """Return the faults that have not ended."""
        return [record for record in self.faults if record.phase(now) != "ended"]

    def acted(self, since: float, now: float) -> bool:
        """Return whether any fault acted between two times, in Unix seconds."""
        return any(record.starts_at <= now and record.ends_at > since for record in self.faults)

    def find(self, name: str) -> Record:
        """Return the fault called `name`, ended or not; raises NotFound."""
        for record in self.faults:
            if record.name == name:
                return record
        raise NotFound(f"there is no fault called {name!r}")


class Applied(NamedTuple):
    """A change that a store has made: the state before it and the state after it, equal if nothing changed."""

    before: State
    after: State


class Diff(NamedTuple):
    """The difference of two states; compares records by identity, because a change keeps unchanged records."""

    added: list[Record]
    """Records that only the later state has, newest first; a changed fault is in `added` and in `removed`."""
    removed: dict[int, Record]
    """Records that only the earlier state has, by their place there."""

    @classmethod
    def of(cls, before: State, after: State) -> Self:
        """Return the difference from the state `before` to the state `after`."""
        old = set(map(id, before.faults))
        new = set(map(id, after.faults))
        return cls(
            [record for record in after.faults if id(record) not in old],
            {place: record for place, record in enumerate(before.faults) if id(record) not in new},
        )

    @property
    def replaces(self) -> bool:
        """Return whether a new fault replaced an earlier one of the same name."""
        former = {record.name: record.created_at for record in self.removed.values()}
        return any(former.get(record.name, record.created_at) != record.created_at for record in self.added)


class AuditEntry(Model):
    """One entry of the audit log: actor, action, time and reason. `at` is Unix seconds in UTC."""

    revision: Revision = 0
    at: Moment
    actor: str
    action: str
    fault: str | None = None
    reason: str = ""
    spec: Fault | None = None
    """The fault after the change; None if the change created or changed no fault."""
    fields: tuple[FieldChange, ...] = ()
    """The fields of the world that the change has changed."""

    def signed(self, state: "State") -> "AuditEntry":
        """Return the entry with what the state has become; a store calls this before it writes."""
        made = [
            record.spec
            for record in state.faults
            if record.name == self.fault and record.revision == state.revision and record.ended_at is None
        ]
        fields = state.world_changes[0].fields if state.world_revision == state.revision > 0 else ()
        return self.model_copy(update={"revision": state.revision, "spec": made[0] if made else None, "fields": fields})
