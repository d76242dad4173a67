"""Request metrics: traffic as users see it, the source of the service-level indicators.

Names and labels are those of prometheus-fastapi-instrumentator, which public FastAPI dashboards read.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from typing import Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from chaosapi.faults.fault import Fault
from chaosapi.routes import COUNTED_FROM_START, LATENCY_BOUNDS, METHODS, Route, is_failure
from chaosapi.telemetry.counters import CellFactory, Key, local
from chaosapi.telemetry.exemplars import Exemplars, with_exemplars
from chaosapi.telemetry.histogram import Histogram
from chaosapi.trace_context import current_trace

BUCKETS: Final = LATENCY_BOUNDS
MAX_EXPOSED: Final = 1000
"""The most series, by method, route and status, that faults add before anything was counted: each has 15 samples."""

_OTHER: Final = "other"
_LE: Final = (*map(str, BUCKETS), "+Inf")
_TOTAL: Final = "http_requests", "Requests by the exact status that the client got; 000 is no answer."
_DURATION: Final = (
    "http_request_duration_seconds",
    "From the request's arrival to the last byte of its answer; an answer that did not arrive as a whole is in +Inf.",
)
_FIRST_BYTE: Final = (
    "http_request_time_to_first_byte_seconds",
    "From the request's arrival to the first byte of its answer's body, without failures; if none came, in +Inf.",
)
_IN_PROGRESS: Final = "http_requests_inprogress", "Requests being answered now."


class AnswerCounts(NamedTuple):
    """Requests that have ended, and how many of them with a 5xx or without an answer."""

    total: float
    failed: float


class StatusCounters:
    """The counters of one method, route and status."""

    def __init__(self, labels: dict[str, str], cells: CellFactory) -> None:
        self.labels = list(labels.values())
        self.exemplars = Exemplars()
        self.succeeds = not is_failure(labels["status"])
        pairs = tuple(labels.items())
        name, text = _TOTAL
        (self.total,) = cells("counter", [Key(name, f"{name}_total", pairs, text)])
        name, text = _DURATION
        buckets = [Key(name, f"{name}_bucket", (*pairs, ("le", le)), text) for le in _LE]
        self.seconds, *self.buckets = cells("histogram", [Key(name, f"{name}_sum", pairs, text), *buckets])


class RouteCounters:
    """The counters of one method and route."""

    def __init__(self, method: str, handler: str, cells: CellFactory) -> None:
        self.labels = {"method": method, "handler": handler}
        self._cells = cells
        name, text = _IN_PROGRESS
        (self.in_progress,) = cells("gauge_livesum", [Key(name, name, tuple(self.labels.items()), text)])
        self.first_byte = Histogram(*_FIRST_BYTE, BUCKETS, self.labels, cells)
        self.by_status: dict[str, StatusCounters] = {}

    def expose_status(self, status: str) -> StatusCounters:
        """Return the counters of a status; /metrics shows them from now on, at 0."""
        found = self.by_status.get(status)
        if found is None:
            # Another thread may do the same: both must count in the same cells.
            found = self.by_status.setdefault(status, StatusCounters({**self.labels, "status": status}, self._cells))
        return found

    def count_first_byte(self, status: str, seconds: float) -> None:
        """Count the first byte of an answer that has not ended, unless the answer is a failure."""
        if not is_failure(status):
            self.first_byte.observe(seconds)

    def count_answer(
        self,
        status: str,
        seconds: float,
        whole: bool = True,  # noqa: FBT001, FBT002 - keywords take longer
        begun: bool = False,  # noqa: FBT001, FBT002 - as above
    ) -> None:
        """Count the end of a request; unless the client got the `whole` answer, only the bucket +Inf counts it.

        Unless its first byte is counted already, since the answer has `begun`, that came with the last one, or never.
        """
        self.in_progress[0] -= 1
        counts = self.by_status.get(status) or self.expose_status(status)
        counts.total[0] += 1
        counts.seconds[0] += seconds
        bucket = bisect_left(BUCKETS, seconds) if whole else -1
        counts.buckets[bucket][0] += 1
        trace = current_trace.get()
        if trace is not None and trace.sampled:  # here, since a call takes longer
            counts.exemplars.note(bucket, seconds)
        if counts.succeeds and not begun:
            self.first_byte.sum[0] += seconds
            self.first_byte.buckets[bucket][0] += 1


class CountersByRoute(dict[tuple[str, str], RouteCounters]):
    """The counters by method and route; an unknown method counts as `other`."""

    def __init__(self, cells: CellFactory) -> None:
        super().__init__()
        self._cells = cells

    def __missing__(self, key: tuple[str, str]) -> RouteCounters:
        method, handler = key
        if method not in METHODS and method != _OTHER:
            return self[_OTHER, handler]
        found = self.setdefault(key, RouteCounters(method, handler, self._cells))  # another thread may add it, too
        for status in COUNTED_FROM_START:
            found.expose_status(status)
        return found


class RequestMetrics(Collector):
    """The metrics of all requests. With several workers, `counted` returns the counts of all of them."""

    def __init__(
        self,
        routes: Iterable[Route],
        cells: CellFactory = local,
        counted: Callable[[], Iterable[Metric]] | None = None,
    ) -> None:
        self._counted = counted or self._totals
        self.by_route = CountersByRoute(cells)
        self._exposed = 0
        self.expose(routes)

    def expose(self, routes: Iterable[Route]) -> None:
        """Show the usual statuses of these routes, at 0 unless counted already."""
        for route in routes:
            for method in route.methods:
                self.by_route[method, route.template].expose_status(str(route.success))

    def expose_statuses(self, fault: Fault, routes: Iterable[Route]) -> None:
        """Show the statuses with which the fault ends requests, on those of the routes that it targets."""
        for traffic in self._targeted(fault, routes):
            for status in fault.statuses - traffic.by_status.keys():
                if self._exposed < MAX_EXPOSED:
                    self._exposed += 1
                    traffic.expose_status(status)

    def _targeted(self, fault: Fault, routes: Iterable[Route]) -> Iterator[RouteCounters]:
        for route in routes:
            if fault.target.matches_route(route.template):
                for method in route.methods.intersection(fault.target.methods or route.methods):
                    yield self.by_route[method, route.template]

    def collect(self) -> Iterator[Metric]:
        """Yield the counts of this process."""
        yield from self._totals()
        duration = HistogramMetricFamily(*_DURATION, labels=["method", "handler", "status"])
        first_byte = HistogramMetricFamily(*_FIRST_BYTE, labels=["method", "handler"])
        running = GaugeMetricFamily(*_IN_PROGRESS, labels=["method", "handler"])
        for traffic in list(self.by_route.values()):
            running.add_metric(list(traffic.labels.values()), traffic.in_progress[0])
            traffic.first_byte.add_to(first_byte)
            for counts in list(traffic.by_status.values()):
                so_far = accumulate(bucket[0] for bucket in counts.buckets)
                duration.add_metric(counts.labels, with_exemplars(_LE, so_far, counts.exemplars), counts.seconds[0])
        yield from (duration, first_byte, running)

    def _totals(self) -> Iterator[Metric]:
        total = CounterMetricFamily(*_TOTAL, labels=["method", "handler", "status"])
        for traffic in list(self.by_route.values()):
            for counts in list(traffic.by_status.values()):
                total.add_metric(counts.labels, counts.total[0])
        yield total

    def count_by_route(self) -> dict[tuple[str, str, str], float]:
        """Return the number of requests so far by method, handler and status."""
        return {
            (each.labels["method"], each.labels["handler"], each.labels["status"]): each.value
            for each in self._samples()
        }

    def count_latencies(self) -> dict[tuple[str, str, str], float]:
        """Return this process's answers without failures so far, by method, handler and bucket, added up from below."""
        counts: dict[tuple[str, str, str], float] = {}
        for traffic in list(self.by_route.values()):
            for status, answers in list(traffic.by_status.items()):
                if answers.total[0] and not is_failure(status):
                    for le, count in zip(_LE, accumulate(bucket[0] for bucket in answers.buckets), strict=True):
                        key = (traffic.labels["method"], traffic.labels["handler"], le)
                        counts[key] = counts.get(key, 0.0) + count
        return counts

    def count_answers(self) -> AnswerCounts:
        """Return the number of requests so far, and of failed ones."""
        counts = [(each.labels["status"], each.value) for each in self._samples()]
        failed = sum(count for status, count in counts if is_failure(status))
        return AnswerCounts(sum(count for _, count in counts), failed)

    def _samples(self) -> Iterator[Sample]:
        for family in self._counted():
            if family.name == _TOTAL[0]:
                yield from family.samples
