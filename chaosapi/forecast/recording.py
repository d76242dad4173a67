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


@dataclass(frozen=True)
class RecordedSeries:
    """The samples of one series; times in Unix milliseconds, ascending."""

    labels: Mapping[str, str]
    times: Times
    values: Array

    @property
    def counter(self) -> Counter:
        """Return the series as a counter, which is reset wherever the value decreases."""
        fallen = np.concatenate([[0.0], np.where(np.diff(self.values) < 0, self.values[:-1], 0.0)])
        return Counter(self.values, 0, np.cumsum(fallen) if fallen.any() else None)


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


def _moments(found: Iterable[RecordedSeries]) -> Times:
    return np.unique(np.concatenate([np.array([], dtype=np.int64), *(each.times for each in found)]))
