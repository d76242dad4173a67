"""Traffic as users see it: the source of the service-level indicators.

Names and labels are those that public FastAPI dashboards read (prometheus-fastapi-instrumentator's).
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from chaosapi.routes import COUNTED_FROM_START, Route
from chaosapi.telemetry.counters import CellFactory, Key, local

BUCKETS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
STATUS_CLOSED = "000"
"""The status of a connection that was closed without an answer."""

_LE: Final = (*map(str, BUCKETS), "+Inf")
_TOTAL: Final = "http_requests", "Requests answered, by exact status."
_DURATION: Final = "http_request_duration_seconds", "From the request's arrival to the last byte of its answer."
_RUNNING: Final = "http_requests_inprogress", "Requests being answered now."


class AnswerCounts(NamedTuple):
    """How many requests were answered, and how many of these with 5xx or not at all."""

    total: float
    failed: float


class StatusCounters:
    """Requests by one method to one route that got one status."""

    def __init__(self, labels: dict[str, str], cells: CellFactory) -> None:
        self.labels = list(labels.values())
        pairs, (total, said), (duration, text) = tuple(labels.items()), _TOTAL, _DURATION
        (self.total,) = cells("counter", [Key(total, f"{total}_total", pairs, said)])
        buckets = [Key(duration, f"{duration}_bucket", (*pairs, ("le", le)), text) for le in _LE]
        self.seconds, *self.buckets = cells("histogram", [Key(duration, f"{duration}_sum", pairs, text), *buckets])


class RouteCounters:
    """Requests by one method to one route."""

    def __init__(self, method: str, handler: str, cells: CellFactory) -> None:
        self.labels, self._cells = {"method": method, "handler": handler}, cells
        (self.in_progress,) = cells(
            "gauge_livesum", [Key(_RUNNING[0], _RUNNING[0], tuple(self.labels.items()), _RUNNING[1])]
        )
        self.by_status: dict[str, StatusCounters] = {}

    def expose_status(self, status: str) -> StatusCounters:
        """Return the counts of a status; from now on they show, at 0 at first."""
        found = self.by_status.get(status)
        if found is None:
            found = self.by_status[status] = StatusCounters({**self.labels, "status": status}, self._cells)
        return found

    def count_arrival(self) -> None:
        """Count a request in."""
        self.in_progress[0] += 1

    def count_answer(self, status: str, seconds: float) -> None:
        """Count it out again."""
        self.in_progress[0] -= 1
        counts = self.by_status.get(status) or self.expose_status(status)
        counts.total[0] += 1
        counts.seconds[0] += seconds
        counts.buckets[bisect_left(BUCKETS, seconds)][0] += 1


class RequestMetrics(Collector):
    """All traffic. Where several workers count together, `counted` returns what all of them have counted."""

    def __init__(
        self,
        routes: Iterable[Route],
        cells: CellFactory = local,
        counted: Callable[[], Iterable[Metric]] | None = None,
    ) -> None:
        self._cells, self._counted = cells, counted or self._totals
        self._traffic: dict[tuple[str, str], RouteCounters] = {}
        for route in routes:
            for method in route.methods:
                traffic = self.counters_of(method, route.template)
                for status in {route.success, *COUNTED_FROM_START}:
                    traffic.expose_status(str(status))

    def counters_of(self, method: str, handler: str) -> RouteCounters:
        """Return the traffic of a route by a method; what is no method of HTTP is `other`."""
        found = self._traffic.get((method, handler))
        if found is None:
            known = method if method in METHODS else "other"
            found = self._traffic.get((known, handler)) or RouteCounters(known, handler, self._cells)
            self._traffic[known, handler] = found
        return found

    def collect(self) -> Iterator[Metric]:
        """Yield what this process has counted."""
        yield from self._totals()
        duration = HistogramMetricFamily(*_DURATION, labels=["method", "handler", "status"])
        running = GaugeMetricFamily(*_RUNNING, labels=["method", "handler"])
        for traffic in list(self._traffic.values()):
            running.add_metric(list(traffic.labels.values()), traffic.in_progress[0])
            for counts in list(traffic.by_status.values()):
                so_far = accumulate(bucket[0] for bucket in counts.buckets)
                duration.add_metric(counts.labels, list(zip(_LE, so_far, strict=True)), counts.seconds[0])
        yield from (duration, running)

    def _totals(self) -> Iterator[Metric]:
        total = CounterMetricFamily(*_TOTAL, labels=["method", "handler", "status"])
        for traffic in list(self._traffic.values()):
            for counts in list(traffic.by_status.values()):
                total.add_metric(counts.labels, counts.total[0])
        yield total

    def count_by_route(self) -> dict[tuple[str, str], float]:
        """Count all requests so far by method and handler."""
        counts: dict[tuple[str, str], float] = {}
        for each in self._samples():
            key = (each.labels["method"], each.labels["handler"])
            counts[key] = counts.get(key, 0.0) + each.value
        return counts

    def count_answers(self) -> AnswerCounts:
        """Sum up all requests so far."""
        counts = [(each.labels["status"], each.value) for each in self._samples()]
        failed = sum(count for status, count in counts if status == STATUS_CLOSED or status.startswith("5"))
        return AnswerCounts(sum(count for _, count in counts), failed)

    def _samples(self) -> Iterator[Sample]:
        for family in self._counted():
            if family.name == _TOTAL[0]:
                yield from family.samples
