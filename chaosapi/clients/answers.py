"""What the admin API answers with, as types of its JSON: times are RFC 3339, durations text such as "1m30s"."""

from typing import Any, Literal, TypedDict

Json = dict[str, Any]
Phase = Literal["scheduled", "active", "ended"]


class Replicas(TypedDict):
    """How many of the known replicas have applied a change."""

    applied: int
    known: int


class Receipt(TypedDict):
    """What a fault did so far, summed over all replicas; rates are 0 to 1."""

    matched: int
    injected: int
    skipped: int
    requested_rate: float
    achieved_rate: float
    delay: Json | None
    replicas: Replicas
    denied: list[str]


class FaultView(TypedDict):
    """A fault as it was sent, complete with defaults, and what has become of it."""

    name: str
    effect: Json
    rate: float
    rate_sum: str
    target: Json
    schedule: Json
    seed: int
    reason: str
    guard: Json | None
    state: Phase
    revision: int
    created_at: str
    starts_at: str
    ends_at: str
    remaining: str
    strength: float
    receipt: Receipt


class Created(FaultView):
    """A fault that was just made, with its forecast where that was asked for."""

    forecast: Json | None


class HaltView(TypedDict):
    """Since when chaos is halted, and why."""

    since: str
    reason: str


class FaultList(TypedDict):
    """Faults, newest first."""

    revision: int
    halt: HaltView | None
    faults: list[FaultView]
    next: str | None


class Ended(TypedDict):
    """What the kill switch did; `stored` is whether the shared store knows."""

    ended: int
    revision: int
    stored: bool
    replicas: Replicas


class HaltAnswer(TypedDict):
    """Whether chaos is halted now; `stored` is whether the shared store knows."""

    halt: HaltView | None
    revision: int
    stored: bool
    replicas: Replicas


class ReplicaView(TypedDict):
    """One process that serves traffic; `lag` is how many revisions it is behind the latest."""

    id: str
    host: str
    pid: int
    started: str
    revision: int
    lag: int
    last_seen: str


class ReplicaList(TypedDict):
    """All replicas that are alive, by id."""

    revision: int
    replicas: list[ReplicaView]


class AuditView(TypedDict):
    """Who did what, when and why; `spec` is the fault as the action made it, where it made or changed one."""

    revision: int
    at: str
    actor: str
    action: str
    fault: str | None
    reason: str
    spec: Json | None


class AuditList(TypedDict):
    """The audit, newest first."""

    entries: list[AuditView]
    next: str | None


class EffectView(TypedDict):
    """One effect: its parameters as JSON schema, and a body for `create_fault` that works as it is."""

    type: str
    summary: str
    acts_on: Literal["request", "process"]
    ends_request: bool
    scalable: bool
    at_points: bool
    denied: str | None
    parameters: Json
    example: Json


class Catalogue(TypedDict):
    """Every effect there is."""

    effects: list[EffectView]


class DeliveredAlert(TypedDict):
    """One alert that Alertmanager delivered, with its first, last and final notification; delays are seconds."""

    number: int
    fingerprint: str
    status: Literal["firing", "resolved"]
    labels: dict[str, str]
    annotations: dict[str, str]
    starts_at: str
    ends_at: str | None
    received_at: str | None
    resolved_received_at: str | None
    last_received_at: str
    notifications: int
    delay: float | None
    resolved_delay: float | None


class DeliveredAlerts(TypedDict):
    """What was delivered, the latest first; `dropped` counts those that had to make room."""

    alerts: list[DeliveredAlert]
    dropped: int
    next: str | None
