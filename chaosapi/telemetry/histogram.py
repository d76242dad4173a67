"""One series of a histogram in cells, which several workers add up."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily

from chaosapi.telemetry.counters import CellFactory, Key


class Histogram:
    """The observations with one set of labels; the caller sees to it that one thread at a time observes."""

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], labels: dict[str, str], cells: CellFactory
    ) -> None:
        pairs = tuple(labels.items())
        self._labels = list(labels.values())
        self._bounds = bounds
        self._le = (*map(str, bounds), "+Inf")
        buckets = [Key(name, f"{name}_bucket", (*pairs, ("le", le)), text) for le in self._le]
        self.sum, *self.buckets = cells("histogram", [Key(name, f"{name}_sum", pairs, text), *buckets])

    def observe(self, value: float) -> None:
        """Count a value; what every request does adds to the cells itself, since a call takes longer."""
        self.sum[0] += value
        self.buckets[bisect_left(self._bounds, value)][0] += 1

    def add_to(self, family: HistogramMetricFamily) -> None:
        so_far = accumulate(bucket[0] for bucket in self.buckets)
        family.add_metric(self._labels, list(zip(self._le, so_far, strict=True)), self.sum[0])
