"""What becomes of a request that meets some faults: its status, when it is counted, and whether it is in time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from chaosapi.effects import Latency
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
SENT = {"truncate", "corrupt"}
"""Effects that come after the status was sent: their requests count as good."""
_MODELLED = {"error", "exception", "reset", "hang", "latency"} | SENT


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
            if isinstance(acting.fault.effect, Latency):
                in_time = _in_time(acting.fault.effect, limit, self.baseline, acting.magnitude, check)
                share *= 1 - acting.hit * (1 - in_time)
        return share


def outcome(faults: Sequence[Exposure], traffic: Traffic, cells: int) -> Outcome:
    """Return what becomes of requests that meet these faults, oldest first.

    Faults roll independently, and of those that answer the oldest decides.
    """
    left, parts = np.ones(cells), []
    for acting in faults:
        for status, share, hold in _endings(acting.fault, traffic):
            parts.append(OutcomePart(status, left * acting.hit * share, hold, acting.ends if hold else math.inf))
        if acting.fault.effect.ends_request:
            left = left * (1 - acting.hit)
    return Outcome((OutcomePart(None, left), *parts), tuple(faults), traffic.baseline)


def unmodelled(fault: Fault) -> str | None:
    """Return why nothing can be said about the fault, None where something can."""
    kind = fault.effect.type
    if fault.target.points:
        return f"{_name(fault)}: what a failing call to {', '.join(fault.target.points)} leads to is up to the app"
    if kind == "throttle":
        return f"{_name(fault)}: how long a throttled answer takes depends on its size"
    if kind not in _MODELLED:
        return f"{_name(fault)}: what {kind} does to requests depends on the load"
    return None


def assumptions(fault: Fault) -> list[str]:
    """Return what is taken for granted about a fault that is modelled."""
    said = []
    if fault.guard:
        said.append(f"{_name(fault)}: its guard is taken not to end it early")
    if fault.target.headers:
        said.append(f"{_name(fault)}: every request is taken to carry the headers of its target")
    if fault.effect.type in SENT:
        said.append(f"{_name(fault)}: the status was sent before, so SLIs count what {fault.effect.type} hits as good")
    if fault.schedule.shape.type == "bursts" and fault.name is None:
        said.append(f"{_name(fault)}: its bursts are drawn from its name; give it one to see the real ones")
    return said


def statuses(fault: Fault, traffic: Traffic) -> set[str]:
    """Return the statuses with which it answers requests."""
    return {status for status, _, _ in _endings(fault, traffic)}


def delays_looked_at(fault: Fault) -> int:
    """Count the parts of its delays' distribution, times the strengths at which `within` looks at them."""
    if not isinstance(fault.effect, Latency):
        return 0
    moving = fault.schedule.shape.scales == "magnitude" and fault.schedule.shape.type != "constant"
    return latency.parts(fault.effect.distribution) * (_STRENGTHS if moving else 1)


def _name(fault: Fault) -> str:
    return fault.name or fault.effect.type


def _endings(fault: Fault, traffic: Traffic) -> list[tuple[str, float, float]]:
    """Return statuses with their shares of the requests hit, and how long those are held."""
    effect = fault.effect
    match effect.type:
        case "error":
            status = effect.status
            mix = {status: 1.0} if isinstance(status, int) else status
            return [(str(each), weight / sum(mix.values()), 0.0) for each, weight in mix.items()]
        case "exception":
            return [("500", 1.0, 0.0)]
        case "reset":
            return [(CLOSED, 1.0, 0.0)]
        case "hang":
            return [(CLOSED, 1.0, min(effect.at_most, traffic.client_timeout))]
    return []


def _in_time(effect: Latency, limit: float, baseline: float, magnitude: Array, check: Callable[[], None]) -> Array:
    """Return P(answered within the limit) of a request that is hit."""
    room = limit if effect.mode == "floor" else limit - baseline
    if effect.cap <= room:
        return np.ones_like(magnitude)
    strengths, place = np.unique(magnitude.round(_DIGITS), return_inverse=True)
    chances = []
    for strength in strengths:
        check()
        chances.append(latency.within(effect.distribution, room / strength) if strength else 1.0)
    return np.array(chances)[place]
