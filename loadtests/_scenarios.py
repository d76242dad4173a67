"""The traffic of each scenario: data and arithmetic without Locust, which the forecast reads too."""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from math import sqrt
from typing import NamedTuple

MIX: Mapping[str, float] = {
    "GET /api/products": 0.30,
    "GET /api/products/{product_id}": 0.35,
    "GET /api/search": 0.15,
    "POST /api/cart/{cart_id}/items": 0.10,
    "POST /api/checkout": 0.06,
    "GET /api/orders/{order_id}": 0.04,
}
"""The share of each route in the shop's usual traffic."""
ERRORS_FROM_START = ("429", "500", "502", "503", "504")
"""Statuses that are exported from 0 on, as by the service (chaosapi/routes.py).

A series that first appears with a burst of errors hides that burst: increase() needs an earlier sample.
"""

BUYING: Mapping[str, float] = {
    "GET /api/products": 0.05,
    "GET /api/products/{product_id}": 0.25,
    "GET /api/search": 0.05,
    "POST /api/cart/{cart_id}/items": 0.32,
    "POST /api/checkout": 0.28,
    "GET /api/orders/{order_id}": 0.05,
}
"""The mix of a sale, in which most customers buy."""


ASKING: Mapping[str, float] = {"POST /api/assistant": 0.5, "GET /api/products/{product_id}": 0.5}
"""The mix of customers who ask the assistant, and look at what it names."""


class Point(NamedTuple):
    """Requests/s = `rate` × the scenario's rate + `peak` × its peak, at this part of its duration; linear between."""

    at: float
    rate: float
    peak: float


class Load:
    """Requests per second over time: linear between corners (seconds, requests/s), 0 after the last."""

    def __init__(self, corners: list[tuple[float, float]]) -> None:
        self.corners = corners
        self.duration = corners[-1][0]
        self._times = [time for time, _ in corners]
        self._sums = [0.0]
        for (start, before), (end, after) in pairwise(corners):
            self._sums.append(self._sums[-1] + (before + after) / 2 * (end - start))

    @property
    def total(self) -> float:
        """Return the number of requests in total."""
        return self._sums[-1]

    def rate_at(self, seconds: float) -> float:
        """Return the requests/s at this time; at a jump, the rate after it."""
        if not 0 <= seconds < self.duration:
            return 0.0
        piece = bisect_right(self._times, seconds) - 1
        start, before, slope = self._piece(piece)
        return before + slope * (seconds - start)

    def arrived(self, seconds: float) -> float:
        """Return the number of requests that start until this time: the integral of the rate."""
        seconds = min(max(seconds, 0.0), self.duration)
        piece = min(bisect_right(self._times, seconds), len(self._times) - 1) - 1
        start, before, slope = self._piece(piece)
        return self._sums[piece] + (before + slope / 2 * (seconds - start)) * (seconds - start)

    def due(self, arrived: float) -> float:
        """Return the time at which so many requests have started: the inverse of `arrived`."""
        piece = min(bisect_right(self._sums, arrived), len(self._sums) - 1) - 1
        start, before, slope = self._piece(piece)
        missing = arrived - self._sums[piece]
        if missing <= 0:
            return start
        # The root of slope/2·x² + before·x = missing in the form that stays exact for small slopes.
        return start + 2 * missing / (before + sqrt(max(0.0, before * before + 2 * slope * missing)))

    def _piece(self, number: int) -> tuple[float, float, float]:
        (start, before), (end, after) = self.corners[number : number + 2]
        return start, before, (after - before) / (end - start) if end > start else 0.0


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A traffic pattern and its defaults: requests/s, the peak as a multiple of them, the duration in seconds.

    `patience` is the time-out of clients in seconds, `retries` the name of their policy in _retries.py.
    """

    story: str
    course: tuple[Point, ...]
    rate: float = 20
    surge: float | None = None
    duration: float = 180
    mix: Mapping[str, float] = field(default_factory=lambda: MIX)
    patience: float = 30
    retries: str = "none"

    def load(
        self,
        *,
        rate: float | None = None,
        peak: float | None = None,
        duration: float | None = None,
        scale: float = 1,
    ) -> Load:
        """Return the requests/s over time; None stands for the default, `scale` multiplies rate and peak.

        A scenario without a peak ignores `peak`. Raises ValueError with a remedy.
        """
        rate = self.rate if rate is None else rate
        duration = self.duration if duration is None else duration
        if not 0 < rate <= _MOST:
            raise ValueError(f"the rate is {rate:g} requests/s; it must be above 0 and at most {_MOST:,}")
        if not 0 < duration <= _LONGEST:
            raise ValueError(f"the duration is {duration:g} s; it must be longer than 0 s and at most 7 days")
        if not 0 < scale <= _MOST:
            raise ValueError(f"the scale is {scale:g}; it must be above 0 and at most {_MOST:,}: 2 doubles the traffic")
        top = rate * (self.surge or 1) if peak is None or self.surge is None else peak
        if self.surge and not rate < top <= _MOST:
            raise ValueError(f"the peak is {top:g} requests/s; it must be above the rate, {rate:g}")
        return Load([(at * duration, scale * (of_rate * rate + of_peak * top)) for at, of_rate, of_peak in self.course])


_MOST = 1_000_000
_LONGEST = 7 * 24 * 3600.0


def _flat(start: float, end: float, rate: float, peak: float) -> tuple[Point, Point]:
    return Point(start, rate, peak), Point(end, rate, peak)


# How busy a shop is at each hour of its day, as a share of the way from the night's rate to the evening's peak.
_NIGHT_AND_MORNING = (0.10, 0.05, 0.02, 0.0, 0.0, 0.03, 0.10, 0.22, 0.36, 0.48, 0.56, 0.62)
_AFTERNOON_AND_EVENING = (0.70, 0.66, 0.60, 0.58, 0.62, 0.70, 0.82, 0.94, 1.0, 0.86, 0.55, 0.25, 0.10)

SCENARIOS: dict[str, Scenario] = {
    "steady": Scenario(
        story="An even rate: the background against which a fault shows. Watch anything you like; it moves no alert.",
        course=_flat(0, 1, 1, 0),
    ),
    "spike": Scenario(
        story="A link went viral: at once the peak for the middle third, then as before. Watch latency and requests in"
        " progress. With limited capacity it moves the latency page, then the availability page; without, none.",
        course=(*_flat(0, 1 / 3, 1, 0), *_flat(1 / 3, 2 / 3, 0, 1), *_flat(2 / 3, 1, 1, 0)),
        surge=5,
    ),
    "ramp": Scenario(
        story="A campaign gathers speed: from the rate to the peak in a straight line. Watch at which requests/s"
        " latency bends upwards: that is the capacity. The latency alerts move first, tickets where it bends gently.",
        course=(Point(0, 1, 0), Point(1, 0, 1)),
        surge=10,
    ),
    "steps": Scenario(
        story="A capacity test: five even steps from the rate to the peak, long enough to settle on each. Watch the"
        " last step whose latency is still flat. The latency page moves at the first step that is too high.",
        course=tuple(point for step in range(5) for point in _flat(step / 5, (step + 1) / 5, 1 - step / 4, step / 4)),
        surge=5,
    ),
    "diurnal": Scenario(
        story="A day in minutes: a quiet night, a lunch hump, an evening peak. Watch that ratios stay level while rates"
        " swing. An alert that moves here without a fault counts requests where it should count shares.",
        course=tuple(
            Point(hour / 24, 1 - busy, busy) for hour, busy in enumerate(_NIGHT_AND_MORNING + _AFTERNOON_AND_EVENING)
        ),
        surge=8,
        duration=1440,
    ),
    "soak": Scenario(
        story="Hours of ordinary traffic: what leaks shows only with time. Watch memory, open connections and p99"
        " creep. The slow ticket (3d/6h) is the one that should see it.",
        course=_flat(0, 1, 1, 0),
        duration=4 * 3600,
    ),
    "double-spike": Scenario(
        story="A second spike before the first is digested: queues, caches and autoscalers have not recovered. Watch"
        " whether the second does more harm than the first. The page of the first should still be"
        " hot, and not page twice.",
        course=(
            *_flat(0, 0.2, 1, 0),
            *_flat(0.2, 0.35, 0, 1),
            *_flat(0.35, 0.5, 1, 0),
            *_flat(0.5, 0.65, 0, 1),
            *_flat(0.65, 1, 1, 0),
        ),
        surge=5,
    ),
    "flash-sale": Scenario(
        story="A sale opens on the hour: everybody comes for the same thing and wants to pay, then it sells out. Watch"
        " checkout, and payments behind it. The checkout availability page should move before the shop's.",
        course=(*_flat(0, 0.25, 1, 0), Point(0.25, 0, 1), Point(0.5, 0, 1), Point(0.75, 1, 0), Point(1, 1, 0)),
        surge=10,
        mix=BUYING,
    ),
    "thundering-herd": Scenario(
        story="An outage of the way to the shop ends, and all who waited return at once. Watch the first seconds after"
        " the gap: cold caches, full queues. TargetAbsent must stay quiet in the gap; the"
        " latency page may move after it.",
        course=(*_flat(0, 0.3, 1, 0), *_flat(0.3, 0.5, 0, 0), Point(0.5, 0, 1), Point(0.65, 1, 0), Point(1, 1, 0)),
        surge=10,
    ),
    "retry-storm": Scenario(
        story="A short spike, and clients that try again at once when no answer comes within a second. Behind a"
        " limited capacity their retries are a load of their own, which stays when the spike is gone: the failure is"
        " metastable. Watch goodput against requests served. The availability page fires and does not resolve until"
        " retries are budgeted.",
        course=(*_flat(0, 0.2, 1, 0), *_flat(0.2, 0.3, 0, 1), *_flat(0.3, 1, 1, 0)),
        rate=30,
        surge=5,
        patience=1,
        retries="naive",
    ),
    "brownout-probe": Scenario(
        story="A night at a small shop: so little traffic that one failure is a large share. Watch how one error pages"
        " somebody. Any alert may move; with `--min-failures 5` in the rules, none should for a single failure.",
        course=_flat(0, 1, 1, 0),
        rate=1,
        duration=600,
    ),
    "assistant": Scenario(
        story="Customers ask the assistant, which answers token by token. Watch the time to the first byte apart from"
        " latency: a slow first token and a slow stream have the same latency. No alert moves by itself; the latency"
        " page does once answers take longer than 250 ms.",
        course=_flat(0, 1, 1, 0),
        rate=5,
        mix=ASKING,
    ),
}
