"""Types of the admin API's JSON responses: times are RFC 3339, durations are text such as "1m30s"."""

from typing import Any, Literal

from typing_extensions import TypedDict  # pydantic reads typing's only from Python 3.12 on

Json = dict[str, Any]
Phase = Literal["scheduled", "active", "ended"]


class Replicas(TypedDict):
    """How many of the known replicas have applied a change."""

    applied: int
    known: int


class Denial(TypedDict):
    """A replica whose settings forbid a fault, and the reason."""

    replica: str
    reason: str


class ReplicaCounts(TypedDict):
    """What one replica counted of a fault."""

    replica: str
    matched: int
    injected: int
    skipped: int
    spared: int


class Receipt(TypedDict):
    """Counts of a fault's effect so far, summed over all replicas; rates are 0 to 1."""

    matched: int
    injected: int
    skipped: int
    spared: int
    requested_rate: float
    achieved_rate: float
    delay: Json | None
    replicas: Replicas
    denied: list[Denial]
    by_replica: list[ReplicaCounts]


class ConditionView(TypedDict):
    """Whether the condition of a fault holds: on these replicas, or not, for this reason."""

    holds: bool
    replicas: list[str]
    reason: str


_While = TypedDict("_While", {"while": Json | None})


class FaultView(_While):
    """A fault as it was sent, with its defaults, and its state and receipt."""

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
    condition: ConditionView | None
    note: str
    receipt: Receipt


class Created(FaultView):
    """A created fault, with its forecast if that was requested."""

    forecast: Json | None


class HaltView(TypedDict):
    """The start of the halt, and its reason."""

    since: str
    reason: str


class FaultList(TypedDict):
    """Faults, newest first."""

    revision: int
    halt: HaltView | None
    faults: list[FaultView]
    next: str | None


class Ended(TypedDict):
    """The result of the kill switch; `stored` is whether the shared store recorded it."""

    ended: int
    revision: int
    stored: bool
    replicas: Replicas


class HaltAnswer(TypedDict):
    """The halt, or None; `stored` is whether the shared store recorded the change."""

    halt: HaltView | None
    revision: int
    stored: bool
    replicas: Replicas


class ReplicaView(TypedDict):
    """One process that serves traffic; `lag` is how many revisions it is behind the latest."""

    id: str
    name: str
    host: str
    pid: int
    started: str
    revision: int
    lag: int
    last_seen: str


class ReplicaList(TypedDict):
    """All live replicas, by id."""

    revision: int
    replicas: list[ReplicaView]


class FieldChange(TypedDict):
    """One field of the world, such as `settings.shop_retries`, before and after a change; None: it was not there."""

    field: str
    before: Any
    after: Any


class WorldView(TypedDict):
    """The world, and how many replicas have applied it."""

    release: Json
    flags: dict[str, bool]
    settings: Json
    providers: Json
    rotation: dict[str, str]
    limits: list[Json]
    shed: dict[str, float]
    quarantine: list[str]
    revision: int
    risks: list[str]
    absent: list[str]
    replicas: Replicas


class ChangedWorld(WorldView):
    """The world after a change, and the fields that the change has changed."""

    changed: list[FieldChange]


class ChangeView(TypedDict):
    """One change of the world: who changed what, when and why."""

    revision: int
    at: str
    actor: str
    note: str
    fields: list[FieldChange]


class ChangeList(TypedDict):
    """The changes of the world, newest first."""

    changes: list[ChangeView]
    next: str | None


class AuditView(TypedDict):
    """One entry of the audit log; `spec` is the fault after an action that created or changed it, else None."""

    revision: int
    at: str
    actor: str
    action: str
    fault: str | None
    reason: str
    spec: Json | None
    fields: list[FieldChange]


class AuditList(TypedDict):
    """The audit log, newest first."""

    entries: list[AuditView]
    next: str | None


class TokenView(TypedDict):
    """A token that an instructor has issued, without its secret."""

    id: str
    role: Literal["instructor", "operator", "observer"]
    label: str
    created_at: str
    expires_at: str


class NewToken(TokenView):
    """A token that has just been issued; `token` is its secret, which no other answer has."""

    token: str


class TokenList(TypedDict):
    """The tokens that are valid now, newest first."""

    tokens: list[TokenView]


class EffectView(TypedDict):
    """One effect: its parameters as JSON schema, and an example body for `create_fault`."""

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
    """Every effect."""

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
    """The delivered alerts, latest first; `dropped` counts the alerts evicted from the full inbox."""

    alerts: list[DeliveredAlert]
    dropped: int
    next: str | None
