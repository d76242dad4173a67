"""The models of the admin API's responses."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

from chaosapi import durations
from chaosapi.durations import Duration
from chaosapi.effects import EFFECTS, Effect, ProcessEffect
from chaosapi.faults.fault import Fault, Phase, Record
from chaosapi.faults.receipt import Receipt, Replicas
from chaosapi.faults.state import Action, AuditEntry, Halt
from chaosapi.models import Model
from chaosapi.store import Replica
from chaosapi.world.changes import FieldChange

_NOTED_AFTER_S: Final = 60.0


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
    """Current strength, 0 to 1."""
    note: str = ""
    """A note if the fault has been active for a minute during traffic without a matching request."""
    receipt: Receipt

    @classmethod
    def of(
        cls, record: Record, receipt: Receipt, now: float, strength: float, requests_per_second: Callable[[], float]
    ) -> "FaultView":
        """Return the view of a fault at time `now`, with its strength then, under the present traffic."""
        spec = {field: getattr(record.spec, field) for field in Fault.model_fields if field != "name"}
        return cls(
            name=record.name,
            **spec,
            state=record.phase(now),
            revision=record.revision,
            created_at=_time(record.created_at),
            starts_at=_time(record.starts_at),
            ends_at=_time(record.ends_at),
            remaining=max(0.0, record.ends_at - now),
            strength=round(strength, 6),
            note=_note(record, receipt, now, requests_per_second),
            receipt=receipt,
        )


def _note(record: Record, receipt: Receipt, now: float, requests_per_second: Callable[[], float]) -> str:
    spec = record.spec
    waited = now - record.starts_at
    idle = record.phase(now) == "active" and receipt.matched == 0 and waited >= _NOTED_AFTER_S
    if not idle or isinstance(spec.effect, ProcessEffect) or not (rate := requests_per_second()):
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
