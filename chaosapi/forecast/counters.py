"""The service's counters as Prometheus will read them: expected counts at every scrape."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chaosapi.faults.fault import Fault
from chaosapi.forecast import exposure, outcome
from chaosapi.forecast.arrays import Array
from chaosapi.forecast.indicator import Term
from chaosapi.forecast.outcome import OutcomePart
from chaosapi.forecast.traffic import AnswerTime, Traffic, TrafficRoute
from chaosapi.routes import COUNTED_FROM_START

ZERO_INITIALISED = set(COUNTED_FROM_START)
"""The statuses that every route counts from 0 on, like its success; those of a fault exist from its creation."""


@dataclass(frozen=True)
class Counter:
    """The sum of series that grow in proportion, so that rate() of the sum is the sum of their rates."""

    values: Array
    """Counts at the scrapes; the counter has no samples before index `first_sample`."""
    first_sample: int
    lost_to_restarts: Array | None = None
    """The counts lost to restarts by each scrape; None without restarts."""


@dataclass(frozen=True)
class _Series:
    """Series counted together: parts of the outcome of a group of routes, and the routes' share of the traffic."""

    group: int
    parts: tuple[OutcomePart, ...]
    share: float
    early: bool


class Counters:
    """All counters of the service under some faults, oldest first; times are seconds after the faults were created.

    `check` is called between steps of the work and may raise to stop it.
    """

    def __init__(
        self, faults: Sequence[Fault], traffic: Traffic, edges: Array, check: Callable[[], None] = lambda: None
    ) -> None:
        self._traffic = traffic
        self._edges = edges
        self._check = check
        middles = (edges[:-1] + edges[1:]) / 2
        lengths = np.diff(edges)
        self._arrivals = rate_at(traffic, middles) * lengths
        actings = [exposure.exposure(fault, middles, check) for fault in faults]
        # Routes under the same faults differ only in their share.
        groups: dict[tuple[tuple[int, ...], tuple[AnswerTime, ...]], dict[TrafficRoute, float]] = {}
        for route, share in traffic.mix.items():
            met = tuple(number for number, each in enumerate(actings) if exposure.matches(each.fault, route))
            groups.setdefault((met, traffic.answer_times(route)), {})[route] = share
        self._groups = [
            (routes, outcome.outcome([actings[number] for number in met], traffic, usual, middles, check))
            for (met, usual), routes in groups.items()
        ]
        self._cache: dict[tuple[int, int, float | None], Array] = {}

    def select(self, term: Term, times: Array) -> list[Counter]:
        """Return the counters that the term selects, as read at these times."""
        counters = []
        silent = False
        for series in self._selected(term):
            if not any(self._cumulated(series.group, part, None)[-1] for part in series.parts):
                silent |= series.early
                continue
            # A fault's own statuses exist from its creation, at time 0: the next scrape is the first with a sample.
            born = 0 if series.early else int(np.searchsorted(times, 0, side="right"))
            counters.append(Counter(self._read(series, term.limit, times), born))
        if silent and not any(counter.first_sample == 0 for counter in counters):
            # The sum over series that exist but never grew is 0, not absent.
            counters.append(Counter(np.zeros_like(times), 0))
        return counters

    def growth(self, labels: Mapping[str, str], limit: float | None, since: float, times: Array) -> Array:
        """Return the expected growth, since a time until these, of the series with this method, handler and status.

        With a limit the series is that bucket's.
        """
        route = (labels.get("method"), labels.get("handler"))
        grown = np.zeros_like(times)
        for group, (routes, result) in enumerate(self._groups):
            for each, share in routes.items():
                if (each.method, each.handler) == route:
                    own = None if labels.get("status") == each.success else labels.get("status")
                    parts = tuple(part for part in result.parts if part.status == own)
                    series = _Series(group, parts, share, early=True)
                    grown += self._read(series, limit, times) - self._read(series, limit, np.array([since]))
        return grown

    def answers(self) -> Iterator[dict[str, str]]:
        """Yield the labels of every answer that the traffic gets, with and without the faults."""
        for routes, result in self._groups:
            for route in routes:
                for part in result.parts:
                    yield route.labels | {"status": part.status or route.success}

    def flow(self, terms: Sequence[Term]) -> Array:
        """Return the expected events of a query in each cell, by the time of the request's arrival."""
        flow = np.zeros_like(self._arrivals)
        for term in terms:
            for series in self._selected(term):
                for part in series.parts:
                    flow += term.sign * series.share * np.diff(self._cumulated(series.group, part, term.limit))
        return flow

    def _selected(self, term: Term) -> Iterator[_Series]:
        """Yield all series of the term; series of the same status, which grow in proportion, are merged into one."""
        for group, (routes, result) in enumerate(self._groups):
            shares: dict[str | None, float] = {}
            statuses = ZERO_INITIALISED | {part.status for part in result.parts if part.status}
            for route, share in routes.items():
                for status in statuses | {route.success}:
                    if term.matches(route.labels | {"status": status}):
                        own = None if status == route.success else status
                        shares[own] = shares.get(own, 0.0) + share
            for own, share in shares.items():
                parts = tuple(part for part in result.parts if part.status == own)
                yield _Series(group, parts, share, early=own is None or own in ZERO_INITIALISED)

    def _read(self, series: _Series, limit: float | None, times: Array) -> Array:
        """Return the counts at these times; requests that hang are counted when they end."""
        counts = np.zeros_like(times)
        for part in series.parts:
            due = np.where(times < part.release, times - part.hold, times)
            counts += np.interp(due, self._edges, self._cumulated(series.group, part, limit))
        return counts * series.share

    def _cumulated(self, group: int, part: OutcomePart, limit: float | None) -> Array:
        """Return the requests of the group that arrived by each edge and end as this part does, within the limit."""
        key = (group, id(part), limit)  # parts hold arrays and live as long as this object
        if key not in self._cache:
            _, result = self._groups[group]
            share = part.share if limit is None else part.share * result.within(limit, part, self._check)
            self._cache[key] = np.concatenate([[0.0], np.cumsum(self._arrivals * share)])
        return self._cache[key]


def rate_at(traffic: Traffic, seconds: Array) -> Array:
    """Return the requests per second at these times."""
    rates = np.array([traffic.rps, *(stage.rps for stage in traffic.stages)])
    return rates[np.searchsorted([stage.after for stage in traffic.stages], seconds, side="right")]
