"""What becomes of a request that meets some faults: its status, when it is counted, and whether it is in time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chaosapi.effects.base import Delay, Ending
from chaosapi.faults.fault import Fault
from chaosapi.forecast import latency
from chaosapi.forecast.arrays import Array
from chaosapi.forecast.exposure import Exposure
from chaosapi.forecast.traffic import Traffic

_DIGITS = 4
_STRENGTHS = 10**_DIGITS
"""Strengths are told apart to so many digits."""
CLOSED = "000"
"""The status of a connection that was closed without an answer."""


@dataclass(frozen=True)
class OutcomePart:
    """Requests that end alike: their share in each cell, and how long after arrival they are counted."""

    status: str | None
    """None: the route's success."""
    share: Array
    hold: float = 0.0
    release: float = math.inf
    """When all that are held are let go and counted, in seconds after the faults were created."""


@dataclass(frozen=True)
class Outcome:
    """What becomes of the requests of routes that meet the same faults."""

    parts: tuple[OutcomePart, ...]
    faults: tuple[Exposure, ...]
    baseline: float

    def within(self, limit: float, part: OutcomePart, check: Callable[[], None] = lambda: None) -> Array:
        """Return the share of the part that ends within `limit` seconds, in each cell.

        Delays of several faults are taken one by one, not as a sum. `check` is called between steps.
        """
        share = np.full_like(part.share, float(self.baseline + part.hold <= limit))
        for acting in self.faults:
            if delay := acting.fault.effect.delay():
                in_time = _in_time(delay, limit, self.baseline, acting.magnitude, check)
                share *= 1 - acting.hit * (1 - in_time)
        return share


def outcome(faults: Sequence[Exposure], traffic: Traffic, cells: int) -> Outcome:
    """Return what becomes of requests that meet these faults, oldest first.

    Faults roll independently, and of those that answer the oldest decides.
    """
    left = np.ones(cells)
    parts = []
    for acting in faults:
        for ending in acting.fault.effect.endings():
            hold = min(ending.hold_s, traffic.client_timeout)
            share = left * acting.hit * ending.share
            parts.append(OutcomePart(_status(ending), share, hold, acting.ends if hold else math.inf))
        if acting.fault.effect.ends_request:
            left = left * (1 - acting.hit)
    return Outcome((OutcomePart(None, left), *parts), tuple(faults), traffic.baseline)


def unmodelled(fault: Fault) -> str | None:
    """Return why nothing can be said about the fault, None where something can."""
    if fault.target.points:
        return f"{_name(fault)}: what a failing call to {', '.join(fault.target.points)} leads to is up to the app"
    if reason := fault.effect.unpredictable:
        return f"{_name(fault)}: {reason.format(type=fault.effect.type)}"
    return None


def assumptions(fault: Fault) -> list[str]:
    """Return what is taken for granted about a fault that is modelled."""
    said = []
    if fault.guard:
        said.append(f"{_name(fault)}: its guard is taken not to end it early")
    if fault.target.headers:
        said.append(f"{_name(fault)}: every request is taken to carry the headers of its target")
    if fault.effect.spoils:
        said.append(f"{_name(fault)}: the status was sent before, so SLIs count what {fault.effect.type} hits as good")
    if fault.schedule.shape.type == "bursts" and fault.name is None:
        said.append(f"{_name(fault)}: its bursts are drawn from its name; give it one to see the real ones")
    return said


def statuses(fault: Fault) -> set[str]:
    """Return the statuses with which it answers requests."""
    return {_status(ending) for ending in fault.effect.endings()}


def delays_looked_at(fault: Fault) -> int:
    """Count the parts of its delays' distribution, times the strengths at which `within` looks at them."""
    delay = fault.effect.delay()
    if delay is None:
        return 0
    moving = fault.schedule.shape.scales == "magnitude" and fault.schedule.shape.type != "constant"
    return latency.count_components(delay.distribution) * (_STRENGTHS if moving else 1)


def _name(fault: Fault) -> str:
    return fault.name or fault.effect.type


def _status(ending: Ending) -> str:
    return CLOSED if ending.status is None else str(ending.status)


def _in_time(delay: Delay, limit: float, baseline: float, magnitude: Array, check: Callable[[], None]) -> Array:
    """Return P(answered within the limit) of a request that is hit."""
    room = limit if delay.pads else limit - baseline
    if delay.cap <= room:
        return np.ones_like(magnitude)
    strengths, place = np.unique(magnitude.round(_DIGITS), return_inverse=True)
    chances = []
    for strength in strengths:
        check()
        chances.append(latency.within(delay.distribution, room / strength) if strength else 1.0)
    return np.array(chances)[place]
