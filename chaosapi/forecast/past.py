"""The past as Prometheus recorded it: series of the SLOs' selectors, which the forecast continues."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from chaosapi.forecast.promql import Times
from chaosapi.forecast.recording import RecordedSeries

_ENDED_AFTER = 2.5
"""The scrape intervals without a sample after which a series has ended."""


@dataclass(frozen=True)
class Past:
    """What Prometheus has recorded until the creation of the faults, in milliseconds relative to that (0 or less)."""

    source: str
    """Where it was read, in words."""
    series: Mapping[str, Sequence[RecordedSeries]]
    """The series that each selector selects, with the samples that the windows may contain."""
    scrape: int
    """The scrape interval."""
    last_evaluation: int | None = None
    """The last evaluation of the rules; None: no rule was evaluated."""
    labels: frozenset[str] = frozenset()
    """The names of the labels that the service's counters have there."""

    @cached_property
    def last_scrape(self) -> int:
        """Return the time of the last sample of any series."""
        return max((int(each.times[-1]) for found in self.series.values() for each in found), default=0)

    def goes_on(self, series: RecordedSeries) -> bool:
        """Return whether the series is still scraped."""
        return int(series.times[-1]) > self.last_scrape - _ENDED_AFTER * self.scrape


def fill_in(series: RecordedSeries, scrape: int, coarse: int) -> RecordedSeries:
    """Return a series that was read every `coarse` milliseconds as if it had been read at every scrape.

    Between two samples it grows evenly. Nothing is filled in where samples are missing, or the counter was reset.
    """
    times = series.times
    steps = np.diff(times)
    even = (steps <= 1.5 * coarse) & (np.diff(series.values) >= 0) & (steps > scrape)
    parts = [
        np.arange(start + scrape, end - scrape // 2, scrape, dtype=np.int64)
        for start, end in zip(times[:-1][even].tolist(), times[1:][even].tolist(), strict=True)
    ]
    every: Times = np.union1d(times, np.concatenate([times[:0], *parts]))
    return replace(series, times=every, values=np.interp(every, times, series.values))
