"""Exemplars: the trace of the last observation in each bucket of a histogram, where its trace is recorded.

OpenMetrics shows them. They belong to one process: the sums over several workers have none.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from prometheus_client.samples import Exemplar

from chaosapi.trace_context import current_trace


class Exemplars(dict[int, Exemplar]):
    """The exemplars of one series by the index of their bucket; -1 is the last bucket."""

    def note(self, bucket: int, value: float, now: Callable[[], float] = time.time) -> None:
        """Keep the current trace as the exemplar of a bucket, if it is recorded."""
        trace = current_trace.get()
        if trace and trace.sampled:
            self[bucket] = Exemplar({"trace_id": trace.trace_id}, value, now())


def with_exemplars(
    bounds: Sequence[str], counts: Iterable[float], exemplars: Mapping[int, Exemplar]
) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    """Return the buckets of a series, those with an exemplar with it."""
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = [*zip(bounds, counts, strict=True)]
    for bucket, exemplar in list(exemplars.items()):
        le, count = buckets[bucket][:2]
        buckets[bucket] = (le, count, exemplar)
    return buckets
