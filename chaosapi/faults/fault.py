"""A fault: an effect × rate × target × schedule; as API clients send it, and as stores keep it."""

import functools
from collections.abc import Iterable
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import EXACT
from chaosapi.effects import EFFECTS, AnyEffect, ProcessEffect
from chaosapi.faults.dice import Dice
from chaosapi.faults.guard import Guard
from chaosapi.faults.schedule import Schedule
from chaosapi.models import Integer, Line, Model, Moment, Ratio, at_most_entries, case_insensitive_names
from chaosapi.routes import METHODS, STATUS_CLOSED, fits, is_probe
from chaosapi.world.condition import Condition
from chaosapi.world.world import ReplicaName, World

NAME = r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$"

Phase = Literal["scheduled", "active", "ended"]


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


Name = Annotated[
    str, Field(pattern=NAME, description="Lower-case letters, digits and dashes, at most 63: a DNS label.")
]
Method = Annotated[Literal[METHODS], BeforeValidator(_upper)]  # type: ignore[valid-type]  # mypy wants it spelt out
Header = Annotated[str, BeforeValidator(_lower), Field(pattern=r"^[a-z0-9!#$%&'*+.^_`|~-]+$", max_length=100)]
Pattern = Annotated[str, Field(pattern=r"^/", max_length=200)]
Seed = Annotated[Integer, Field(ge=0, lt=2**64)]
Reason = Annotated[Line, Field(max_length=500)]
Point = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]+$", max_length=100)]


class Target(Model):
    """The requests that may be hit: all given fields must match; an empty target matches every request."""

    routes: Annotated[list[Pattern], Field(min_length=1, max_length=100)] | None = None
    """Templates (`/api/products/{product_id}`) or globs over them (`/api/*`)."""
    methods: Annotated[list[Method], Field(min_length=1, max_length=7)] | None = None
    """HTTP methods, such as `["POST"]`."""
    headers: Annotated[
        dict[Header, Annotated[Line, Field(max_length=1000)]],
        Field(max_length=20),
        BeforeValidator(case_insensitive_names),
        at_most_entries(20),
    ] = Field(default_factory=dict)
    """Request headers and the exact values they must have."""
    sticky_by: Header | None = None
    """A request header whose value replaces the request id in the dice: the same users are hit every time."""

    points: Annotated[list[Point], Field(min_length=1, max_length=20)] | None = None
    """Points, that is calls to dependencies (`["payments"]`), to hit instead of whole requests."""
    replicas: Annotated[list[ReplicaName], Field(min_length=1, max_length=64)] | None = None
    """The names of the replicas (`CHAOSAPI_REPLICA`, else the id) on which the fault acts; on all unless given."""

    def includes(self, replica: str) -> bool:
        """Return whether the fault may act on the replica of this name."""
        return self.replicas is None or replica in self.replicas

    def matches_route(self, template: str) -> bool:
        """Return whether the target matches the route with this template; a usual probe has to be named."""
        if is_probe(template):
            return self.routes is not None and template in self.routes
        return self.routes is None or any(fits(pattern, template) for pattern in self.routes)


class Fault(Model):
    """What to inject, how often, where and when. Only `effect` is required."""

    name: Name | None = None
    """The fault's name; derived from the effect's type unless given."""
    effect: AnyEffect
    """What happens to requests that are hit, or to the process."""
    rate: Ratio = 1.0
    """The share of the matching requests to hit: a ratio above 0 and at most 1."""
    rate_sum: Annotated[Line, Field(max_length=1000)] = ""
    """How the rate was calculated, if it was given as a burn rate."""
    target: Target = Target()
    """Which requests match."""
    schedule: Schedule = Schedule()
    """When the fault acts, and how strong it is."""
    while_: Annotated[Condition | None, Field(alias="while")] = None
    """The part of the world that must hold on a replica for the fault to act there."""
    seed: Seed = 0
    """The seed of the dice: the same seed hits the same request ids on every replica; another seed hits others."""
    reason: Reason = ""
    """Why the fault is injected; recorded in the audit log."""
    guard: Guard | None = None
    """The condition that ends the fault early."""

    @classmethod
    def names(cls) -> list[str]:
        """Return the names that the fields have in documents."""
        return [field.alias or name for name, field in cls.model_fields.items()]

    def fields(self) -> dict[str, Any]:
        """Return the values of the fields, by their names in documents."""
        return {field.alias or name: getattr(self, name) for name, field in type(self).model_fields.items()}

    def acts_on(self, world: World, replicas: Iterable[str]) -> list[str]:
        """Return those of the replicas that the target names and on which the condition holds."""
        return [name for name in replicas if self.target.includes(name) and self.unmet(world, name) is None]

    def unmet(self, world: World, replica: str) -> str | None:
        """Return why the condition does not hold on the replica, in words; None if it holds, or there is none."""
        return self.while_.unmet(world, replica) if self.while_ else None

    @property
    def differs_by_replica(self) -> bool:
        """Return whether the fault may act on some replicas and not on others."""
        return self.while_ is not None or self.target.replicas is not None

    @property
    def statuses(self) -> set[str]:
        """Return the statuses with which requests that are hit end; empty where the app answers them."""
        if self.target.points:
            return set()
        endings = self.effect.endings()
        return {STATUS_CLOSED if ending.status is None else str(ending.status) for ending in endings}

    @model_validator(mode="after")
    def _check_effect(self) -> Self:
        everywhere = Target(replicas=self.target.replicas)
        if isinstance(self.effect, ProcessEffect) and (self.rate != 1 or self.target != everywhere):
            raise PydanticCustomError(
                "process",
                "an effect of type {type} acts on the whole process: leave out rate and target, except its replicas",
                {"type": self.effect.type},
            )
        if self.target.points and not self.effect.at_points:
            fitting = ", ".join(effect.model_fields["type"].default for effect in EFFECTS if effect.at_points)
            raise PydanticCustomError(
                "points",
                "target.points: an effect of type {type} cannot act on a call to a dependency; these can: {fitting}",
                {"type": self.effect.type, "fitting": fitting},
            )
        return self

    @model_validator(mode="after")
    def _check_scales(self) -> Self:
        if self.schedule.shape.scales == "magnitude" and not self.effect.scalable:
            raise PydanticCustomError(
                "scales",
                "schedule.shape.scales: an effect of type {type} has no magnitude to scale: use rate",
                {"type": self.effect.type},
            )
        return self


class Record(Model):
    """A fault as the store keeps it. Times are Unix seconds in UTC."""

    name: str
    spec: Fault
    """As sent, complete with defaults; its `name` is this record's."""
    created_at: Moment
    revision: int
    """The revision that last changed it."""
    ended_at: Moment | None = None
    """When the fault was ended by hand, by a guard or by a halt; None while only its schedule ends it."""

    @functools.cached_property
    def starts_at(self) -> float:
        """Return when the fault starts to act, in Unix seconds."""
        return self.created_at + self.spec.schedule.start_after

    @functools.cached_property
    def ends_at(self) -> float:
        """Return when the fault ends, in Unix seconds: on schedule, or earlier if it was ended."""
        due = self.starts_at + self.spec.schedule.duration
        return due if self.ended_at is None else min(due, self.ended_at)

    @property
    def identity(self) -> tuple[str, float]:
        """Return the key that distinguishes the fault from earlier faults of its name."""
        return self.name, self.created_at

    def ended(self, at: float) -> "Record":
        """Return the record of the same fault, ended at that time."""
        return Record(name=self.name, spec=self.spec, created_at=self.created_at, revision=self.revision, ended_at=at)

    def phase(self, now: float) -> Phase:
        """Return the phase at time `now`."""
        if self.ended_at is not None or now >= self.ends_at:
            return "ended"
        return "active" if now >= self.starts_at else "scheduled"

    @functools.cached_property
    def text(self) -> str:
        """Return the record as JSON for stores, durations in seconds; cached, because a store writes all records."""
        return self.model_dump_json(context=EXACT)

    @functools.cached_property
    def dice(self) -> Dice:
        """Return the fault's dice."""
        return Dice.of(self.spec.seed, self.name)
