"""What all replicas share: the faults and the halt, and the audit of its changes."""

from typing import Literal, NamedTuple, Self

from chaosapi.errors import NotFound
from chaosapi.faults.fault import Fault, Record
from chaosapi.models import Model, Moment, Revision

Action = Literal["create", "replace", "patch", "end", "end_all", "halt", "resume"]


class Halt(Model):
    """Somebody has stopped all chaos and wants no new one."""

    since: Moment
    reason: str


class State(Model):
    """The faults, newest first, and whether chaos is halted."""

    revision: Revision = 0
    faults: tuple[Record, ...] = ()
    halt: Halt | None = None

    def live(self, now: float) -> list[Record]:
        """Return the faults that have not ended."""
        return [record for record in self.faults if record.phase(now) != "ended"]

    def find(self, name: str) -> Record:
        """Return the fault called `name`, ended or not; raises NotFound."""
        for record in self.faults:
            if record.name == name:
                return record
        raise NotFound(f"there is no fault called {name!r}")


class Diff(NamedTuple):
    """What tells a state from an earlier one: by identity, for every change keeps the records that it leaves alone."""

    added: list[Record]
    """Records that only the later state has, newest first; a fault that was changed is among both."""
    removed: dict[int, Record]
    """Records that only the earlier state has, by their place there."""

    @classmethod
    def of(cls, before: State, after: State) -> Self:
        """Compare two states."""
        old = set(map(id, before.faults))
        new = set(map(id, after.faults))
        return cls(
            [record for record in after.faults if id(record) not in old],
            {place: record for place, record in enumerate(before.faults) if id(record) not in new},
        )

    @property
    def replaces(self) -> bool:
        """Whether a fault took the place of another one of its name."""
        former = {record.name: record.created_at for record in self.removed.values()}
        return any(former.get(record.name, record.created_at) != record.created_at for record in self.added)


class AuditEntry(Model):
    """Who did what, when and why. `at` is Unix seconds in UTC."""

    revision: Revision = 0
    at: Moment
    actor: str
    action: str
    fault: str | None = None
    reason: str = ""
    spec: Fault | None = None
    """The fault as the change made it; None where it made or changed none."""

    def signed(self, state: "State") -> "AuditEntry":
        """Return the entry completed with what the change led to; a store calls it with the state to be written."""
        made = [
            record.spec
            for record in state.faults
            if record.name == self.fault and record.revision == state.revision and record.ended_at is None
        ]
        return self.model_copy(update={"revision": state.revision, "spec": made[0] if made else None})
