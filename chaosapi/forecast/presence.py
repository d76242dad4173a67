"""The part of the requests on which a fault acts: by its condition and its replicas, in the world of now or of then."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import NamedTuple

from chaosapi.faults.fault import Fault, Record
from chaosapi.faults.schedule import ConstantShape
from chaosapi.world.changes import WorldChange, undone
from chaosapi.world.world import World


class Place(NamedTuple):
    """What decides where a fault acts: the world, and the replicas."""

    world: World
    replicas: Sequence[str]
    """The name of each live replica; workers of one replica share its name."""
    changes: Sequence[WorldChange] = ()
    """The changes that led to this world, newest first."""


@dataclass(frozen=True)
class Presence:
    """A fault as all requests together meet it."""

    fault: Fault
    """Its rate is the share of all matching requests, on whichever replica."""
    assumptions: tuple[str, ...] = ()
    idle: str = ""
    """Why the fault acts on no request; empty where it acts."""


def presence(fault: Fault, place: Place | None) -> Presence:
    """Return how the requests meet a fault if nobody changes the world; `place` is None where it is unknown."""
    if not fault.differs_by_replica:
        return Presence(fault)
    name = fault.name or fault.effect.type
    if place is None:
        return Presence(fault, (f"{name}: the service did not answer: the condition holds, on all replicas",))
    share = _share(fault, place.world, place.replicas)
    met = _at(fault, share)
    if not share:
        return Presence(met, idle=f"{name}: acts on no request now: {_why_idle(fault, place)}")
    assumptions = []
    if share < 1:
        where = ", ".join(dict.fromkeys(fault.acts_on(place.world, place.replicas)))
        assumptions.append(f"{name}: acts on {where}, which get {share:.0%} of the requests")
    if fault.while_:
        assumptions.append(f"{name}: nobody changes the world, so its condition goes on to hold")
    return Presence(met, tuple(assumptions))


def share_of_replicas(fault: Fault, place: Place) -> float:
    """Return the share of the requests that come to the replicas of the target, whether or not the condition holds."""
    return _share(fault.model_copy(update={"while_": None}), place.world, place.replicas)


def acted(record: Record, place: Place | None) -> tuple[Record, list[str]]:
    """Return the record of the fault as it acted in the course of the world, and what that leaves out.

    The record begins when the condition first held, and ends when it held on other replicas, or on none.
    """
    spec = record.spec
    if not spec.differs_by_replica:
        return record, []
    if place is None:
        return record, [f"{record.name}: the world is not known: its condition is taken to have held, on all replicas"]
    spans = [
        (share, next(iter(group))[0])
        for share, group in groupby(_course(record, place), key=lambda piece: _share(spec, piece[1], place.replicas))
    ]
    acting = next((number for number, (share, _) in enumerate(spans) if share), None)
    if acting is None:
        why = _why_idle(spec, place)
        return _within(record, 0.0, record.starts_at, record.ends_at), [f"{record.name} never acted: {why}"]
    share, begun = spans[acting]
    ended = spans[acting + 1][1] if acting + 1 < len(spans) else record.ends_at
    left_out = []
    if any(share for share, _ in spans[acting + 1 :]):
        left_out.append(
            f"{record.name} acted again, or on other replicas, when the world had changed: that is not forecast"
        )
    if begun > record.starts_at and not isinstance(spec.schedule.shape, ConstantShape):
        left_out.append(f"{record.name} began to act later than its shape, which is forecast from its beginning")
    return _within(record, share, begun, ended), left_out


def _course(record: Record, place: Place) -> list[tuple[float, World]]:
    """Return the worlds while the fault was live, each with the time from which it was, oldest first."""
    course = []
    world = place.world
    for change in place.changes:
        if change.at <= record.starts_at:
            break
        if change.at < record.ends_at:
            course.append((change.at, world))
        world = undone(world, change)
    return [(record.starts_at, world), *reversed(course)]


def _share(fault: Fault, world: World, replicas: Sequence[str]) -> float:
    """Return the share of the requests that come to replicas on which the fault acts; all get equal parts."""
    serving = [name for name in replicas if world.in_rotation(name)] or replicas
    return len(fault.acts_on(world, serving)) / len(serving)


def _at(fault: Fault, share: float) -> Fault:
    # Not validated: of a fault that does not act the rate is 0, which nobody may send.
    return fault.model_copy(update={"rate": fault.rate * share})


def _within(record: Record, share: float, begun: float, ended: float) -> Record:
    schedule = record.spec.schedule
    times = {"start_after": begun - record.created_at, "duration": record.ends_at - begun}
    spec = _at(record.spec, share).model_copy(
        update={"schedule": schedule if begun == record.starts_at else schedule.model_copy(update=times)}
    )
    at = record.ended_at if ended == record.ends_at else ended
    return Record(name=record.name, spec=spec, created_at=record.created_at, revision=record.revision, ended_at=at)


def _why_idle(fault: Fault, place: Place) -> str:
    named = [name for name in place.replicas if fault.target.includes(name)]
    if not named:
        return f"no replica is called {' or '.join(fault.target.replicas or ())}"
    reasons = dict.fromkeys(fault.unmet(place.world, name) for name in named)
    return "; ".join(reason or "the replicas on which it acts get no requests" for reason in reasons)
