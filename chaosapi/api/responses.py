"""The models of the admin API's responses."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal, NamedTuple

from chaosapi import durations
from chaosapi.durations import Duration
from chaosapi.effects import EFFECTS, Effect, ProcessEffect
from chaosapi.faults.fault import Fault, Phase, Record
from chaosapi.faults.receipt import Receipt, Replicas
from chaosapi.faults.state import Action, AuditEntry, Halt
from chaosapi.models import Model
from chaosapi.store import Replica
from chaosapi.world.changes import FieldChange
from chaosapi.world.world import World

_NOTED_AFTER_S: Final = 60.0


class ConditionView(Model):
    """Whether the condition of a fault (`while`) holds now."""

    holds: bool
    """Whether it holds on any replica on which the fault may act."""
    replicas: list[str]
    """The names of those on which it holds."""
    reason: str
    """Why it does not hold on the others."""

    @classmethod
    def of(cls, spec: Fault, world: World, replicas: Sequence[str]) -> "ConditionView | None":
        """Return whether the condition holds on these replicas; None for a fault without one."""
        if not spec.while_:
            return None
        unmet = {name: spec.unmet(world, name) for name in replicas if spec.target.includes(name)}
        names_by_reason: dict[str, list[str]] = {}
        for name, reason in unmet.items():
            if reason:
                names_by_reason.setdefault(reason, []).append(name)
        holding = [name for name, reason in unmet.items() if reason is None]
        if len(names_by_reason) == 1 and not holding:
            reason = next(iter(names_by_reason))
        else:
            reason = "; ".join(f"{', '.join(names)}: {reason}" for reason, names in names_by_reason.items())
        return cls(holds=bool(holding), replicas=holding, reason=reason)


class FaultView(Fault):
    """A fault with all defaults, its state and its receipt."""

    name: str
    state: Phase
    revision: int
    """The revision that last changed it."""
    created_at: datetime
    starts_at: datetime
    ends_at: datetime
    remaining: Duration
    """Time until the fault ends."""
    strength: float
    """Current strength, 0 to 1; 0 while there is no replica on which the fault may act."""
    condition: ConditionView | None = None
    """Whether the fault's condition holds; null for a fault without one, and after its end."""
    note: str = ""
    """A note if no replica has a name of the target's `replicas`, or if the fault has been active for a minute during
    traffic without a matching request."""
    receipt: Receipt

    @classmethod
    def of(
        cls, record: Record, receipt: Receipt, now: float, strength: float, surroundings: "Surroundings"
    ) -> "FaultView":
        """Return the view of a fault at time `now`, with its strength then."""
        ended = record.phase(now) == "ended"
        acting = record.spec.acts_on(surroundings.world, surroundings.replicas)
        fields = {**record.spec.fields(), "name": record.name}
        return cls(
            **fields,
            state=record.phase(now),
            revision=record.revision,
            created_at=_time(record.created_at),
            starts_at=_time(record.starts_at),
            ends_at=_time(record.ends_at),
            remaining=max(0.0, record.ends_at - now),
            strength=round(strength, 6) if acting else 0.0,
            condition=None if ended else ConditionView.of(record.spec, surroundings.world, surroundings.replicas),
            note=_note(record, receipt, now, surroundings),
            receipt=receipt,
        )


class Surroundings(NamedTuple):
    """What a view of a fault depends on besides the fault."""

    world: World
    replicas: Sequence[str]
    """The names of the live replicas."""
    requests_per_second: Callable[[], float]


def _note(record: Record, receipt: Receipt, now: float, surroundings: Surroundings) -> str:
    spec = record.spec
    named = spec.target.replicas
    if named and record.phase(now) != "ended" and not set(named).intersection(surroundings.replicas):
        known = ", ".join(dict.fromkeys(surroundings.replicas))
        return f"no replica is called {' or '.join(named)} now; there are {known}"
    waited = now - record.starts_at
    idle = record.phase(now) == "active" and receipt.matched == 0 and waited >= _NOTED_AFTER_S
    if not idle or isinstance(spec.effect, ProcessEffect) or not (rate := surroundings.requests_per_second()):
        return ""
    calls = "call to a dependency" if spec.target.points else "request"
    return (
        f"no {calls} has matched in {durations.format(round(waited))}, while {rate:.2g} requests/s came: "
        "check the target's routes, methods, headers and points (WebSockets are never hit)"
    )


class HaltView(Model):
    """Since when chaos is halted, and why."""

    since: datetime
    reason: str

    @classmethod
    def of(cls, halt: Halt | None) -> "HaltView | None":
        """Return the view of the halt; None without one."""
        return cls(since=_time(halt.since), reason=halt.reason) if halt else None


class FaultList(Model):
    """Faults, newest first."""

    revision: int
    halt: HaltView | None
    faults: list[FaultView]
    next: str | None = None
    """URL of the next page, relative to this request's; null on the last page."""


class Ended(Model):
    """The result of the kill switch."""

    ended: int
    revision: int
    stored: bool
    """Whether the store has the change; if not, this replica retries, and other replicas end their faults then."""
    replicas: Replicas
    """How many replicas have ended the faults."""


class HaltAnswer(Model):
    """Whether chaos is halted now."""

    halt: HaltView | None
    revision: int
    stored: bool = True
    """Whether the store has the change; if not, this replica retries, and other replicas halt then."""
    replicas: Replicas
    """How many replicas have applied the change."""


class ReplicaView(Model):
    """One process that serves traffic."""

    id: str
    name: str
    """The name that it keeps after a restart (CHAOSAPI_REPLICA), which the world uses; else its id."""
    host: str
    pid: int
    started: datetime
    revision: int
    """The latest revision that the replica has applied."""
    lag: int
    """Revisions behind the latest."""
    last_seen: datetime
    """Time of the last heartbeat."""


class ReplicaList(Model):
    """All live replicas, by id."""

    revision: int
    """The latest revision that any replica has applied."""
    replicas: list[ReplicaView]

    @classmethod
    def of(cls, replicas: Sequence[Replica]) -> "ReplicaList":
        latest = max(replica.revision for replica in replicas)
        shown = [
            ReplicaView(
                id=replica.id,
                name=replica.name or replica.id,
                host=replica.host,
                pid=replica.pid,
                started=_time(replica.started),
                revision=replica.revision,
                lag=latest - replica.revision,
                last_seen=_time(replica.seen),
            )
            for replica in replicas
        ]
        return cls(revision=latest, replicas=shown)


class AuditView(Model):
    """An entry of the audit: actor, action, time and reason."""

    revision: int
    at: datetime
    actor: str
    action: Action
    fault: str | None
    reason: str
    spec: Fault | None
    """The fault as the action made it, where it made or changed one."""
    fields: tuple[FieldChange, ...] = ()
    """The fields of the world that the action has changed."""

    @classmethod
    def of(cls, entry: AuditEntry) -> "AuditView":
        fields = {field: getattr(entry, field) for field in AuditEntry.model_fields if field != "at"}
        return cls(at=_time(entry.at), **fields)


class AuditList(Model):
    """The audit, newest first."""

    entries: list[AuditView]
    next: str | None = None
    """URL of the next page, relative to this request's; null on the last page."""


class EffectView(Model):
    """One effect of the catalogue."""

    type: str
    summary: str
    acts_on: Literal["request", "process"]
    ends_request: bool
    scalable: bool
    """Whether a shape may scale its magnitude."""
    at_points: bool
    """Whether it may target a call to a dependency."""
    denied: str | None
    """Why faults of this effect are refused here; null where they are not."""
    parameters: dict[str, Any]
    """JSON schema of the `effect` object."""
    example: dict[str, Any]
    """A body for POST /admin/faults that works as it is."""


class Catalogue(Model):
    """Every effect."""

    effects: list[EffectView]


def catalogue(denied: Callable[[type[Effect]], str | None]) -> Catalogue:
    """Return a description of every effect; `denied` returns why an effect is refused here, or None."""
    return Catalogue(
        effects=[
            EffectView(
                type=effect.model_fields["type"].default,
                summary=(effect.__doc__ or "").partition("\n")[0],
                acts_on="process" if issubclass(effect, ProcessEffect) else "request",
                ends_request=effect.ends_request,
                scalable=effect.scalable,
                at_points=effect.at_points,
                denied=denied(effect),
                parameters=effect.model_json_schema(),
                example={"effect": effect.example},
            )
            for effect in EFFECTS
        ]
    )


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
