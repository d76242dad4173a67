"""Every metric of the service, in one place; takes its registry, so that each test has its own.

The request metrics carry the names and labels that public FastAPI dashboards read
(prometheus-fastapi-instrumentator's).
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, disable_created_metrics
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from chaosapi.effects import EFFECTS
from chaosapi.engine import Engine
from chaosapi.routes import Route

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
CLOSED = "000"
"""The status of a connection that was closed without an answer."""

disable_created_metrics()  # type: ignore[no-untyped-call]  # _created series only double the scrape


class Answers(NamedTuple):
    """How many requests were answered, and how many of these with 5xx or not at all."""

    total: float
    failed: float


class Reading(Collector):
    """A gauge that is read off something when scraped."""

    def __init__(self, name: str, text: str, read: Callable[[], float], **labels: str) -> None:
        self._name, self._text, self._read, self._labels = name, text, read, labels

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Yield it."""
        family = GaugeMetricFamily(self._name, self._text, labels=list(self._labels))
        family.add_metric(list(self._labels.values()), self._read())
        yield family


class RequestMetrics:
    """Traffic as users see it; the source of the SLIs.

    Where several workers count together, they are in no registry, and `counted` returns what all have counted.
    """

    def __init__(
        self,
        registry: CollectorRegistry | None,
        routes: Iterable[Route],
        counted: Callable[[], Iterable[Metric]] | None = None,
    ) -> None:
        labels = ("method", "handler", "status")
        self._total = Counter("http_requests_total", "Requests answered, by exact status.", labels, registry=registry)
        self._counted = counted or self._total.collect
        self._duration = Histogram(
            "http_request_duration_seconds",
            "From the request's arrival to the last byte of its answer.",
            labels,
            buckets=BUCKETS,
            registry=registry,
        )
        self._inprogress = Gauge(
            "http_requests_inprogress",
            "Requests being answered now.",
            labels[:2],
            registry=registry,
            multiprocess_mode="livesum",
        )
        self._answered: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._running: dict[tuple[str, str], Gauge] = {}
        # A series that is born with the first burst of errors loses it: increase() needs a sample before.
        for route in routes:
            for method in route.methods:
                self.running(method, route.template)
                for status in {route.success, 200, 500, 503, 504}:
                    self._children((method, route.template, str(status)))

    def running(self, method: str, handler: str) -> Gauge:
        """Return the gauge of requests in progress."""
        key = (_known(method), handler)
        gauge = self._running.get(key)
        if gauge is None:
            gauge = self._running[key] = self._inprogress.labels(*key)
        return gauge

    def answered(self, method: str, handler: str, status: str, seconds: float) -> None:
        """Count one request."""
        total, duration = self._children((_known(method), handler, status))
        total.inc()
        duration.observe(seconds)

    def by_route(self) -> dict[tuple[str, str], float]:
        """Count all requests so far by method and handler."""
        counts: dict[tuple[str, str], float] = {}
        for each in self._samples():
            key = (each.labels["method"], each.labels["handler"])
            counts[key] = counts.get(key, 0.0) + each.value
        return counts

    def answers(self) -> Answers:
        """Sum up all requests so far."""
        counts = [(each.labels["status"], each.value) for each in self._samples()]
        failed = sum(count for status, count in counts if status == CLOSED or status.startswith("5"))
        return Answers(sum(count for _, count in counts), failed)

    def _samples(self) -> Iterator[Sample]:
        for family in self._counted():
            if family.name == "http_requests":
                yield from family.samples

    def _children(self, key: tuple[str, str, str]) -> tuple[Counter, Histogram]:
        children = self._answered.get(key)
        if children is None:
            children = self._answered[key] = (self._total.labels(*key), self._duration.labels(*key))
        return children


class FaultMetrics(Collector):
    """What each fault asks for and does, read from the engine when scraped: the receipt and these never differ."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily]:
        """Yield the families of all faults that the state still lists."""
        labels = ["fault", "effect"]
        strength = GaugeMetricFamily("chaosapi_fault_strength", "Strength now, 0 to 1.", labels=labels)
        matched = CounterMetricFamily("chaosapi_fault_matched", "Requests that the target meant.", labels=labels)
        expected = CounterMetricFamily(
            "chaosapi_fault_expected", "Requests to be hit: rate × strength, summed over those meant.", labels=labels
        )
        injected = CounterMetricFamily("chaosapi_fault_injected", "Requests that were hit.", labels=labels)
        skipped = CounterMetricFamily(
            "chaosapi_fault_skipped", "Requests that should have been hit but were let off.", labels=[*labels, "reason"]
        )
        kinds = [*labels, "kind"]
        delays = CounterMetricFamily("chaosapi_fault_delays", "Requests that were held back.", labels=kinds)
        seconds = CounterMetricFamily(
            "chaosapi_fault_delay_seconds", "Their delays, as they were planned and as measured.", labels=kinds
        )
        shown = {name: _family(name, text) for effect in EFFECTS for name, text in effect.shows.items()}
        now, active = self._engine.clock(), 0
        for run in self._engine.runs():
            record = run.plan.record
            key = [record.name, record.spec.effect.type]
            active += record.phase(now) == "active"
            strength.add_metric(key, record.strength(now))
            matched.add_metric(key, run.tally.matched)
            expected.add_metric(key, run.tally.expected)
            injected.add_metric(key, run.tally.injected)
            for kind, sketch in (("planned", run.tally.planned), ("measured", run.tally.measured)):
                if sketch.count:
                    delays.add_metric([*key, kind], sketch.count)
                    seconds.add_metric([*key, kind], sketch.sum)
            for reason, count in run.tally.skipped.copy().items():
                skipped.add_metric([*key, reason], count)
            for name, value in run.plan.readings().items():
                shown[name].add_metric([record.name], value)
        yield from (strength, matched, expected, injected, skipped, delays, seconds, *shown.values())
        yield GaugeMetricFamily("chaosapi_faults_active", "Faults that act now.", value=active)
        yield GaugeMetricFamily(
            "chaosapi_revision", "The revision of the set of faults.", value=self._engine.state.revision
        )


class LagGauge:
    """The largest delay of the event loop within the last seconds: a single late tick is not lost between scrapes."""

    def __init__(self, registry: CollectorRegistry, clock: Callable[[], float], memory: float = 5.0) -> None:
        self._clock, self._memory = clock, memory
        self._seen: deque[tuple[float, float]] = deque()
        text = f"How late the event loop was at most in the last {memory:g} s."
        registry.register(Reading("chaosapi_event_loop_lag_seconds", text, self._worst))

    def observe(self, lag: float) -> None:
        """Note one measured delay, in seconds."""
        self._forget()
        self._seen.append((self._clock(), max(0.0, lag)))

    def _worst(self) -> float:
        self._forget()
        return max((lag for _, lag in list(self._seen)), default=0.0)

    def _forget(self) -> None:
        while self._seen and self._seen[0][0] < self._clock() - self._memory:
            self._seen.popleft()


def _family(name: str, text: str) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if name.endswith("_total") else GaugeMetricFamily
    return kind(f"chaosapi_{name}", text, labels=["fault"])


def _known(method: str) -> str:
    return method if method in METHODS else "other"
