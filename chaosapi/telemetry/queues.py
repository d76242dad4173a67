"""Metrics of waits for a place: in front of the service by route, and in the pool of connections by dependency."""

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

from chaosapi.calls import Wait
from chaosapi.telemetry.counters import CellFactory, Key, local
from chaosapi.telemetry.histogram import Histogram

BUCKETS: Final = (0.001, 0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Names(NamedTuple):
    """The name and the help text of each metric of one kind of queue, and the label."""

    label: str
    wait: tuple[str, str]
    waiting: tuple[str, str]
    in_use: tuple[str, str]
    rejected: tuple[str, str]


_QUEUE: Final = _Names(
    "handler",
    ("chaosapi_queue_wait_seconds", "How long requests waited for a place in the service, where places are limited."),
    ("chaosapi_queue_waiting", "Requests that wait for a place in the service now."),
    ("chaosapi_queue_in_use", "Places in the service that are taken now, where places are limited."),
    ("chaosapi_queue_rejected", "Requests that got no place: the queue was full, or the wait too long."),
)
_POOL: Final = _Names(
    "dependency",
    ("chaosapi_pool_wait_seconds", "How long calls waited for a connection to the dependency, where they are limited."),
    ("chaosapi_pool_waiting", "Calls that wait for a connection to the dependency now."),
    ("chaosapi_pool_in_use", "Connections to the dependency that are taken now, where they are limited."),
    ("chaosapi_pool_rejected", "Calls that got no connection: the queue was full, or the wait too long."),
)


class QueueMeter:
    """The meters of one queue: how many wait for a place, how many have one, and how the waits ended."""

    def __init__(self, names: _Names, name: str, cells: CellFactory) -> None:
        pairs = ((names.label, name),)
        gauges = [Key(metric, metric, pairs, text) for metric, text in (names.waiting, names.in_use)]
        self.waiting, self.in_use = cells("gauge_livesum", gauges)
        metric, text = names.rejected
        (self.rejected,) = cells("counter", [Key(metric, f"{metric}_total", pairs, text)])
        self.seconds = Histogram(*names.wait, BUCKETS, {names.label: name}, cells)

    def join(self) -> None:
        self.waiting[0] += 1

    def admit(self) -> None:
        """Count a request that waited as one with a place."""
        self.waiting[0] -= 1
        self.in_use[0] += 1

    def leave(self, *, admitted: bool) -> None:
        """Count a request no longer, which had a place or waited for one."""
        (self.in_use if admitted else self.waiting)[0] -= 1

    def count_wait(self, wait: Wait) -> None:
        self.seconds.observe(wait.seconds)
        self.rejected[0] += wait.rejected


class QueueMetrics(Collector):
    """The meters of all queues. Only the event loop that serves adds to them."""

    def __init__(self, routes: Iterable[str], dependencies: Iterable[str], cells: CellFactory = local) -> None:
        self._cells = cells
        self._queues: dict[str, QueueMeter] = {}
        self._pools: dict[str, QueueMeter] = {}
        self.expose(routes)
        for name in dependencies:
            self.meter("", name)

    def expose(self, routes: Iterable[str]) -> None:
        """Show the queues of these routes, at 0 unless counted already."""
        for route in routes:
            self.meter(route, "")

    def meter(self, route: str, dependency: str) -> QueueMeter:
        """Return the meter of a dependency's pool, or of the queue in front of a route where the name is empty."""
        meters = self._pools if dependency else self._queues
        name = dependency or route
        found = meters.get(name)
        if found is None:
            # Another thread may do the same: both must count in the same cells.
            found = meters.setdefault(name, QueueMeter(_POOL if dependency else _QUEUE, name, self._cells))
        return found

    def count_wait(self, wait: Wait) -> None:
        self.meter(wait.route, wait.dependency).count_wait(wait)

    def collect(self) -> Iterator[Metric]:
        """Yield the counts of this process."""
        yield from _families(_QUEUE, self._queues)
        yield from _families(_POOL, self._pools)


def _families(names: _Names, meters: dict[str, QueueMeter]) -> Iterator[Metric]:
    seconds = HistogramMetricFamily(*names.wait, labels=[names.label])
    waiting = GaugeMetricFamily(*names.waiting, labels=[names.label])
    in_use = GaugeMetricFamily(*names.in_use, labels=[names.label])
    rejected = CounterMetricFamily(*names.rejected, labels=[names.label])
    for name, meter in list(meters.items()):
        meter.seconds.add_to(seconds)
        waiting.add_metric([name], meter.waiting[0])
        in_use.add_metric([name], meter.in_use[0])
        rejected.add_metric([name], meter.rejected[0])
    yield from (seconds, waiting, in_use, rejected)
