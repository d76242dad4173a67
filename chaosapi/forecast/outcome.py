"""The outcome of requests under several faults: status, time of counting, and the probability of being in time."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from chaosapi.effects.base import Delay, Ending
from chaosapi.faults.fault import Fault
from chaosapi.forecast import latency
from chaosapi.forecast.arrays import Array
from chaosapi.forecast.exposure import Exposure
from chaosapi.forecast.traffic import AnswerTime, Traffic
from chaosapi.routes import STATUS_CLOSED

_DIGITS = 4
_STRENGTHS = 10**_DIGITS
"""The number of different strengths: strengths are rounded to `_DIGITS` digits."""


@dataclass(frozen=True)
class OutcomePart:
    """Requests with the same outcome: their share in each cell, and how long after arrival they are counted."""

    status: str | None
    """The status; None: the success status of the route."""
    share: Array
    hold: float = 0.0
    release: float = math.inf
    """When all requests that hang are released and counted, in seconds after the creation of the faults."""


@dataclass(frozen=True)
class Outcome:
    """The outcome of the requests of routes under the same faults."""

    parts: tuple[OutcomePart, ...]
    delays: "_Delays"
    awaited: Array
    """The share of the requests whose clients wait for the answer, in each cell."""

    def within(self, limit: float, part: OutcomePart, check: Callable[[], None] = lambda: None) -> Array:
        """Return the share of the part that is answered within `limit` seconds, in each cell.

        `check` is called between steps.
        """
        if part.status == STATUS_CLOSED:
            return np.zeros_like(part.share)
        share = np.minimum(self.delays.within(limit, check), self.awaited)
        return np.divide(share, self.awaited, out=np.zeros_like(share), where=self.awaited > 0)


@dataclass(frozen=True)
class _Delays:
    """The delays of the requests of routes under the same faults.

    Delays of several faults are compared with a limit one by one, not as a sum.
    """

    faults: tuple[Exposure, ...]
    usual: Sequence[AnswerTime]
    """How long answers take without a fault."""
    middles: Array
    """The middles of the cells, in seconds after the creation of the faults."""

    def within(self, limit: float, check: Callable[[], None]) -> Array:
        """Return the share of the requests that are delayed by at most `limit` seconds, in each cell."""
        shares = [each.share * self._within(limit, each.seconds, check) for each in self.usual if each.seconds <= limit]
        share: Array = np.sum([np.zeros(self.middles.size), *shares], axis=0)
        return np.minimum(share, 1.0)  # rounding may exceed it, and a counter that falls would count as restarted

    def _within(self, limit: float, usual: float, check: Callable[[], None]) -> Array:
        share = np.ones(self.middles.size)
        for acting in self.faults:
            if delay := acting.fault.effect.delay():
                in_time = _in_time(delay, limit, usual, acting.magnitude, check)
                # The end of the fault releases the requests that it holds.
                held = acting.hit * (self.middles + limit <= acting.ends)
                share *= 1 - held * (1 - in_time)
        return share


def outcome(
    faults: Sequence[Exposure],
    traffic: Traffic,
    usual: Sequence[AnswerTime],
    middles: Array,
    check: Callable[[], None] = lambda: None,
) -> Outcome:
    """Return the outcome of requests under these faults, oldest first; `middles` are those of the cells.

    `usual` is how long the answers to them take without a fault.

    Faults hit independently of each other; of several faults that answer a request the oldest decides. Clients that
    give up before the answer get none.
    """
    left = np.ones(middles.size)
    parts = []
    for acting in faults:
        for ending in acting.fault.effect.endings():
            hold = min(ending.hold_s, traffic.client_timeout)
            share = left * acting.hit * ending.share
            parts.append(OutcomePart(_status(ending), share, hold, acting.ends if hold else math.inf))
        if acting.fault.effect.ends_request:
            left = left * (1 - acting.hit)
    delays = _Delays(tuple(faults), usual, middles)
    awaited = delays.within(traffic.client_timeout, check)
    if not np.all(awaited == 1):
        given_up = (left + _answered(parts)) * (1 - awaited)
        parts = [_awaited(part, awaited) for part in parts]
        parts.append(OutcomePart(STATUS_CLOSED, given_up, traffic.client_timeout))
    return Outcome((OutcomePart(None, left * awaited), *parts), delays, awaited)


def unmodelled(fault: Fault) -> str | None:
    """Return the reason why the fault cannot be modelled; None for a fault that can."""
    if fault.target.points:
        return f"{_name(fault)}: what a failing call to {', '.join(fault.target.points)} leads to is up to the app"
    if reason := fault.effect.unpredictable:
        return f"{_name(fault)}: {reason.format(type=fault.effect.type)}"
    return None


def assumptions(fault: Fault) -> list[str]:
    """Return the assumptions about a fault that is modelled."""
    found = []
    if fault.guard:
        found.append(f"{_name(fault)}: the guard is assumed not to end the fault early")
    if fault.target.headers:
        found.append(f"{_name(fault)}: every request is assumed to carry the headers of the target")
    if fault.effect.damages_body:
        found.append(
            f"{_name(fault)}: the status is sent before {fault.effect.type} acts, so SLIs count hit requests as good"
        )
    if fault.schedule.shape.type == "bursts" and fault.name is None:
        found.append(
            f"{_name(fault)}: bursts are seeded by the fault's name: name the fault to forecast the real bursts"
        )
    return found


def holds(fault: Fault) -> bool:
    """Return whether the fault holds requests, so that clients may give up."""
    effect = fault.effect
    return effect.delay() is not None or any(ending.hold_s for ending in effect.endings())


def count_delay_evaluations(fault: Fault) -> int:
    """Return how many distributions of delays `within` evaluates: parts of a mixture, times strengths."""
    delay = fault.effect.delay()
    if delay is None:
        return 0
    moving = fault.schedule.shape.scales == "magnitude" and fault.schedule.shape.type != "constant"
    return latency.count_components(delay.distribution) * (_STRENGTHS if moving else 1)


def _answered(parts: Sequence[OutcomePart]) -> Array | float:
    """Return the share of the requests that are answered."""
    return sum((part.share for part in parts if part.status != STATUS_CLOSED), start=0.0)


def _awaited(part: OutcomePart, awaited: Array) -> OutcomePart:
    return part if part.status == STATUS_CLOSED else replace(part, share=part.share * awaited)


def _name(fault: Fault) -> str:
    return fault.name or fault.effect.type


def _status(ending: Ending) -> str:
    return STATUS_CLOSED if ending.status is None else str(ending.status)


def _in_time(delay: Delay, limit: float, baseline: float, magnitude: Array, check: Callable[[], None]) -> Array:
    """Return the probability that a request that is hit is answered within the limit."""
    room = limit if delay.pads else limit - baseline
    if delay.cap <= room:
        return np.ones_like(magnitude)
    strengths, place = np.unique(magnitude.round(_DIGITS), return_inverse=True)
    chances = []
    for strength in strengths:
        check()
        chances.append(latency.within(delay.distribution, room / strength) if strength else 1.0)
    return np.array(chances)[place]
