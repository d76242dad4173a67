"""Recorded series of a Prometheus: counters, and episodes from the samples of ALERTS."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from chaosapi.forecast.arrays import Array
from chaosapi.forecast.counters import Counter
from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.promql import Times

_GAP_INTERVALS = 1.5
"""A longer gap between samples ends an episode."""
_SURE = 9.2
"""The expected requests of which chance lets none arrive once in 10,000 times (Poisson)."""


@dataclass(frozen=True)
class RecordedSeries:
    """The samples of one series; times in Unix milliseconds, ascending."""

    labels: Mapping[str, str]
    times: Times
    values: Array

    @property
    def counter(self) -> Counter:
        """Return the series as a counter, which is reset wherever the value decreases."""
        lost = self._lost
        return Counter(self.values, 0, lost if lost.any() else None)

    @property
    def increase(self) -> Array:
        """Return the growth since the first sample, resets left out."""
        grown: Array = self.values - self.values[0] + self._lost
        return grown

    @property
    def _lost(self) -> Array:
        fallen = np.concatenate([[0.0], np.where(np.diff(self.values) < 0, self.values[:-1], 0.0)])
        return np.cumsum(fallen)


def alerts(found: Iterable[RecordedSeries], evaluation: int, until: int) -> list[tuple[dict[str, str], list[Episode]]]:
    """Return the labels and episodes of each alert from series of ALERTS; arguments as of `episodes`."""
    grouped: dict[frozenset[tuple[str, str]], list[RecordedSeries]] = {}
    for each in found:
        own = frozenset(item for item in each.labels.items() if item[0] not in {"__name__", "alertstate"})
        grouped.setdefault(own, []).append(each)
    return [(dict(labels), episodes(series, evaluation, until)) for labels, series in grouped.items()]


def episodes(alerts: Iterable[RecordedSeries], evaluation: int, until: int) -> list[Episode]:
    """Return the episodes of one alert from its ALERTS series, evaluated every `evaluation` milliseconds.

    An episode resolves one evaluation after its last sample, unless that is after `until`, the end of the recording.
    """
    found = list(alerts)
    firing = _moments(each for each in found if each.labels["alertstate"] == "firing")
    seen = np.union1d(firing, _moments(each for each in found if each.labels["alertstate"] == "pending"))
    breaks = np.flatnonzero(np.diff(seen) > _GAP_INTERVALS * evaluation) + 1
    made = []
    for each in np.split(seen, breaks) if seen.size else []:
        fired = each[np.isin(each, firing)]
        over = int(each[-1]) + evaluation
        made.append(Episode(int(each[0]), int(fired[0]) if fired.size else None, over if over <= until else None))
    return made


def since_pause(times: Array, counts: Array, step: float, start: float, end: float) -> float:
    """Return how long requests have been coming since the last pause, of the time from start to end; all in seconds.

    `counts` are the requests in the step before each of `times`; at other times nothing is known, as after a late
    scrape. A stretch without requests, or before the first of `times`, is a pause where chance would make one in less
    than one of 10,000 cases, at the rate of the requests after it.
    """
    every = np.full(max(1, round((end - start) / step)), np.nan)
    every[np.clip(np.ceil((times - start) / step - 1e-6).astype(int) - 1, 0, every.size - 1)] = counts
    known = np.flatnonzero(~np.isnan(every))
    if not known.size:
        return end - start
    every[: known[0]] = 0
    changes = np.flatnonzero(np.diff(np.concatenate([[False], every == 0, [False]])))
    for begin, stop in reversed(changes.reshape(-1, 2).tolist()):
        since = every[stop:]
        if np.nansum(since) and (stop - begin) * np.nanmean(since) > _SURE:
            return float(since.size * step)
    return end - start


def _moments(found: Iterable[RecordedSeries]) -> Times:
    return np.unique(np.concatenate([np.array([], dtype=np.int64), *(each.times for each in found)]))
