"""The share of requests that a fault hits over time, and its magnitude."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chaosapi.faults.fault import Fault, Record
from chaosapi.faults.schedule import ConstantShape
from chaosapi.forecast.arrays import Array
from chaosapi.forecast.traffic import TrafficRoute

_MAX_STRENGTH_CALLS = 200_000
"""Approximate number of evaluations of strengths; more would take seconds."""
_MAX_CELL_PARTS = 8
"""The most cells per scrape interval while a shape changes the strength."""


@dataclass(frozen=True)
class Exposure:
    """A fault over cells of time: in each cell the share of matching requests that are hit, and the magnitude."""

    fault: Fault
    ends: float
    """The end of the fault, in seconds after its creation."""
    hit: Array
    magnitude: Array


def matches(fault: Fault, route: TrafficRoute) -> bool:
    """Return whether the fault's target matches this route."""
    target = fault.target
    return target.matches_route(route.handler) and (not target.methods or route.method in target.methods)


def edges(scrapes: Array, changes: Sequence[float], faults: Sequence[Fault]) -> Array:
    """Return the borders of cells: scrapes (s), changes of traffic, start and end of faults.

    Rates are constant within a cell. While a shape other than constant acts, cells are finer, and the strength of a
    cell is that of its middle: exact for linear shapes, and off by less than half a cell at the edges of a pulse.
    """
    spans = [(fault.schedule.start_after, fault.schedule.start_after + fault.schedule.duration) for fault in faults]
    borders = np.unique(np.concatenate([scrapes, changes, np.ravel(spans)]))
    moving = np.zeros(borders.size - 1, dtype=bool)
    for fault, (start, end) in zip(faults, spans, strict=True):
        if not isinstance(fault.schedule.shape, ConstantShape):
            moving |= (borders[:-1] >= start) & (borders[1:] <= end)
    parts = int(np.clip(_MAX_STRENGTH_CALLS // max(1, moving.sum()), 1, _MAX_CELL_PARTS))
    left = borders[:-1][moving]
    width = np.diff(borders)[moving]
    finer = (left + np.outer(np.arange(1, parts), width) / parts).ravel()
    return np.unique(np.concatenate([borders, finer]))


def exposure(fault: Fault, middles: Array, check: Callable[[], None] = lambda: None) -> Exposure:
    """Return the exposure in cells with these middles (seconds after the fault's creation); calls `check` first."""
    check()
    schedule = fault.schedule
    record = Record(name=fault.name or fault.effect.type, spec=fault, created_at=0.0, revision=0)
    active = (middles >= record.starts_at) & (middles < record.ends_at)
    strength = active.astype(np.float64)
    if not isinstance(schedule.shape, ConstantShape):
        course = schedule.course(record.dice.hit_seed)
        strength[active] = [course.strength(t) for t in middles[active].tolist()]
    if schedule.shape.scales == "magnitude":
        return Exposure(fault, record.ends_at, fault.rate * active.astype(np.float64), strength)
    return Exposure(fault, record.ends_at, fault.rate * strength, np.ones_like(strength))
