"""Metrics of the requests that the edge refuses."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

REASONS: Final = ("block", "limit", "shed", "queue_full", "queue_timeout")
"""Why the edge refuses a request."""


class EdgeMetrics(Collector):
    """Counts refused requests by reason and class; every series exists from the start."""

    def __init__(self, classes: Sequence[str]) -> None:
        pairs = [(reason, kind) for reason in REASONS for kind in classes]
        self._refused = Counter(dict.fromkeys(pairs, 0))

    def count(self, reason: str, kind: str) -> None:
        self._refused[reason, kind] += 1

    def collect(self) -> Iterator[CounterMetricFamily]:
        refused = CounterMetricFamily(
            "chaosapi_edge_refused",
            "Requests refused before the app, because operators limit, block or shed them, or the queue is too long.",
            labels=["reason", "class"],
        )
        for labels, count in self._refused.items():
            refused.add_metric(labels, count)
        yield refused
