"""`rate()` over expected counts, extrapolated exactly as in Prometheus, for a whole grid of evaluations at once.

Source: `extrapolatedRate` in promql/functions.go of github.com/prometheus/prometheus, v2.42 and v3.5.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chaosapi.forecast.arrays import Array
from chaosapi.forecast.counters import Counter

Times = NDArray[np.int64]
"""Milliseconds, as in Prometheus, so that comparisons of window edges with samples are exact."""


class WindowSamples(NamedTuple):
    """The samples in the range at each evaluation: whether there are two, the first and the last; times in seconds."""

    enough: NDArray[np.bool_]
    first: NDArray[np.int64]
    last: NDArray[np.int64]
    sampled: Array
    """Time between the first and the last sample."""
    distance: Array
    """Mean time between two samples."""
    before: Array
    """Time from the start of the range to the first sample."""
    after: Array
    """Time after the last sample to which growth is extrapolated."""


@dataclass(frozen=True)
class Range:
    """A range selector `[length]`, evaluated at each of `ends`; all in milliseconds."""

    scrapes: Times
    ends: Times
    length: int
    prometheus: Literal[2, 3]

    def rate(self, counter: Counter) -> Array:
        """Return the rate per second; NaN where fewer than two samples lie in the range.

        The range is left-open in Prometheus 3 and closed in 2. Growth is extrapolated to an edge of the range that is
        nearer than 1.1 times the mean distance of samples, else by half that distance; and at the start never beyond
        the moment at which the counter would have been 0.
        """
        seen = self.samples if counter.first_sample == 0 else self._seen(counter.first_sample)
        start = counter.values[seen.first]
        grown = counter.values[seen.last] - start
        if counter.lost_to_restarts is not None:
            grown = grown + counter.lost_to_restarts[seen.last] - counter.lost_to_restarts[seen.first]
        with np.errstate(divide="ignore", invalid="ignore"):
            since_zero = np.where(grown > 0, seen.sampled * start / grown, np.inf)
        if self.prometheus == 2:  # version 2 limits by the zero point before the threshold, version 3 after it
            before = _extrapolated(np.minimum(seen.before, since_zero), seen.distance)
        else:
            before = np.minimum(_extrapolated(seen.before, seen.distance), since_zero)
        rate: Array = grown * ((seen.sampled + before + seen.after) / seen.sampled / (self.length / 1000))
        rate[~seen.enough] = np.nan
        return rate

    @cached_property
    def samples(self) -> WindowSamples:
        """Return the samples in the range at each evaluation, of a counter that has all samples."""
        return self._seen(0)

    def _seen(self, born: int) -> WindowSamples:
        starts = self.ends - self.length
        side: Literal["left", "right"] = "left" if self.prometheus == 2 else "right"
        first = np.maximum(np.searchsorted(self.scrapes, starts, side=side), born)
        last = np.searchsorted(self.scrapes, self.ends, side="right") - 1
        enough = last > first
        first = np.where(enough, first, 0)
        last = np.where(enough, last, 1)
        sampled = (self.scrapes[last] - self.scrapes[first]) / 1000
        distance = sampled / (last - first)
        before = (self.scrapes[first] - starts) / 1000
        after = _extrapolated((self.ends - self.scrapes[last]) / 1000, distance)
        return WindowSamples(enough, first, last, sampled, distance, before, after)


def _extrapolated(gap: Array, distance: Array) -> Array:
    return np.where(gap < 1.1 * distance, gap, distance / 2)
