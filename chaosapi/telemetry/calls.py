"""Metrics of the calls to dependencies, of the shop and of an app's own points.

Names follow Prometheus' conventions (base units, `_seconds`, `_total`), as those of the requests do.
"""

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from threading import Lock
from typing import Final

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from chaosapi.calls import OUTCOMES, Try
from chaosapi.telemetry.counters import CellFactory, Key, local
from chaosapi.telemetry.histogram import Histogram

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 10.0)
"""Those of OpenTelemetry's `http.client.request.duration` up to 10 s, and two for calls within a data centre."""
OTHER: Final = "other"
"""The label of all points whose names `install` was not given: handlers may make up any number of names."""

_DURATION: Final = (
    "chaosapi_dependency_request_duration_seconds",
    "How long each try of a call to a dependency took, until it ended or the caller stopped waiting.",
)
_RETRIES: Final = "chaosapi_dependency_retries", "Tries of calls to dependencies after the first."


class _Counters:
    """The counters of one dependency."""

    def __init__(self, dependency: str, cells: CellFactory) -> None:
        self.seconds = {
            outcome: Histogram(*_DURATION, BUCKETS, {"dependency": dependency, "outcome": outcome}, cells)
            for outcome in OUTCOMES
        }
        name, text = _RETRIES
        (self.retries,) = cells("counter", [Key(name, f"{name}_total", (("dependency", dependency),), text)])


class CallMetrics(Collector):
    """The duration of each try by dependency and outcome, and retries; each of `names` is there from the start."""

    def __init__(self, names: Iterable[str], cells: CellFactory = local) -> None:
        self._cells = cells
        self._by_dependency = {name: _Counters(name, cells) for name in names}
        self._lock = Lock()

    def count_try(self, done: Try) -> None:
        with self._lock:  # `def` handlers call in threads
            counters = self._by_dependency.get(done.dependency) or self._other()
            seconds = counters.seconds[done.outcome]
            seconds.sum[0] += done.seconds
            bucket = bisect_left(BUCKETS, done.seconds)
            seconds.buckets[bucket][0] += 1
            seconds.exemplars.note(bucket, done.seconds)
            if done.number > 1:
                counters.retries[0] += 1

    def _other(self) -> _Counters:
        found = self._by_dependency.get(OTHER)
        if found is None:
            found = self._by_dependency[OTHER] = _Counters(OTHER, self._cells)
        return found

    def collect(self) -> Iterator[Metric]:
        """Yield the counts of this process."""
        duration = HistogramMetricFamily(*_DURATION, labels=["dependency", "outcome"])
        retries = CounterMetricFamily(*_RETRIES, labels=["dependency"])
        for name, counters in list(self._by_dependency.items()):
            retries.add_metric([name], counters.retries[0])
            for seconds in counters.seconds.values():
                seconds.add_to(duration)
        yield from (duration, retries)
