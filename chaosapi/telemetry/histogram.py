"""One series of a histogram in cells, which several workers add up."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate

from prometheus_client.core import HistogramMetricFamily

from chaosapi.telemetry.counters import CellFactory, Key
from chaosapi.telemetry.exemplars import Exemplars, with_exemplars


class Histogram:
    """The observations with one set of labels; the caller sees to it that one thread at a time observes."""

    def __init__(
        self, name: str, text: str, bounds: Sequence[float], labels: dict[str, str], cells: CellFactory
    ) -> None:
        pairs = tuple(labels.items())
        self._labels = list(labels.values())
        self._bounds = bounds
        self.exemplars = Exemplars()
        self._le = (*map(str, bounds), "+Inf")
        buckets = [Key(name, f"{name}_bucket", (*pairs, ("le", le)), text) for le in self._le]
        self.sum, *self.buckets = cells("histogram", [Key(name, f"{name}_sum", pairs, text), *buckets])

    def observe(self, value: float) -> None:
        """Count a value; what every request does adds to the cells itself, since a call takes longer."""
        self.sum[0] += value
        bucket = bisect_left(self._bounds, value)
        self.buckets[bucket][0] += 1
        self.exemplars.note(bucket, value)

    def add_to(self, family: HistogramMetricFamily) -> None:
        so_far = accumulate(bucket[0] for bucket in self.buckets)
        family.add_metric(self._labels, with_exemplars(self._le, so_far, self.exemplars), self.sum[0])
