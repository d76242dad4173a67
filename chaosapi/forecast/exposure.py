"""The faults over time: who is hit, and how hard."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chaosapi.faults.fault import Fault, Record
from chaosapi.faults.schedule import ConstantShape
from chaosapi.forecast.arrays import Array
from chaosapi.forecast.traffic import TrafficRoute

_MAX_STRENGTH_CALLS = 200_000
"""About how often strengths are asked for; more would take seconds."""
_MAX_CELL_PARTS = 8
"""Into how many parts an interval between two scrapes is cut at most while a shape changes the strength."""


@dataclass(frozen=True)
class Exposure:
    """A fault over cells of time: the share of its requests that it hits in each, and how hard."""

    fault: Fault
    ends: float
    """When it is over, in seconds after it was created."""
    hit: Array
    magnitude: Array

    def matches(self, route: TrafficRoute) -> bool:
        """Return whether the fault means this route."""
        target = self.fault.target
        return target.matches_route(route.handler) and (not target.methods or route.method in target.methods)


def edges(scrapes: Array, changes: Sequence[float], faults: Sequence[Fault]) -> Array:
    """Return the borders of cells in which nothing changes: scrapes (s), changes of traffic, begin and end of faults.

    While a shape other than constant acts, cells are finer, and within each the strength is that of its middle: right
    for straight lines, and off by less than half a cell where a pulse begins or ends.
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
    """Return the fault in cells with these middles (seconds after its creation); `check` is called before."""
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
