"""The past of an SLO's series, read from Prometheus: the recent part at each scrape, the oldest part in steps."""

from collections.abc import Iterator
from typing import Final

import numpy as np

from chaosapi.cli.prometheus_reader import PrometheusReader
from chaosapi.forecast import indicator
from chaosapi.forecast.arrays import Array
from chaosapi.forecast.indicator import ForeignQueryError
from chaosapi.forecast.past import Past, fill_in
from chaosapi.forecast.promql import Times
from chaosapi.forecast.recording import RecordedSeries
from chaosapi.slo import burn_alerts
from chaosapi.slo.spec import Spec
from chaosapi.slo.windows import Profile

_COARSE_STEPS: Final = 720
"""The samples that stand for the oldest part of the past."""
_FINE_STEPS: Final = 20
"""The samples of the recent past in the shortest window, unless scrapes are rarer."""
_FINE_WINDOWS: Final = 6
"""The length of the recent part, in long windows of the quickest alert."""
_VISIBLE_S: Final = 240.0
"""Prometheus sees a sample for five minutes."""


def read_past(prometheus: PrometheusReader, spec: Spec, profile: Profile, scrape: float, at: float) -> Past | None:
    """Return what the windows of the SLOs contain at a time (Unix seconds), and the rhythm of scrapes and evaluations.

    Returns None for a Prometheus that has none of the service's counters.
    """
    found = prometheus.vector("group by (job) (http_requests_total)", at)
    if not found:
        return None
    known = frozenset(prometheus.label_names("http_requests_total"))
    selectors = set()
    for slo in spec.slos:
        try:
            read = indicator.parse_indicator(slo, known)
        except ForeignQueryError:
            continue  # the forecast says why it refuses this SLO
        selectors |= {str(term) for term in (*read.error, *read.total)}
    step = round(1000 * scrape)
    series = {each: list(_series(prometheus, each, profile, step, at)) for each in sorted(selectors)}
    ratios = prometheus.vector(f"timestamp({burn_alerts.ratio_metric(profile.windows[0])}{_service(spec)})", at)
    evaluations = [round(1000 * (moment - at)) for _, moment in ratios]
    return Past(f"the Prometheus at {prometheus.url}", series, step, max(evaluations, default=None), known)


def _service(spec: Spec) -> str:
    return burn_alerts.selector({"sloth_service": spec.service})


def _series(
    prometheus: PrometheusReader, selector: str, profile: Profile, step: int, at: float
) -> Iterator[RecordedSeries]:
    """Yield the series of a selector in milliseconds relative to `at`, with a value at each scrape."""
    newest = dict(_by_labels(prometheus.vector(f"timestamp({selector})", at)))
    now = dict(_by_labels(prometheus.vector(selector, at)))
    last = max(newest.values(), default=at)
    # Most series are failures that never happened: what is 0 all the time is not read.
    oldest = profile.windows[-1] + profile.pairs[0].long + 2 * step / 1000
    grown = f"{selector} and max_over_time({selector}[{round(1000 * oldest)}ms] @ {at:.3f}) > 0"
    parts: dict[frozenset[tuple[str, str]], list[RecordedSeries]] = {}
    for old, new, every in _stretches(profile, oldest, step):
        start = last - (old * 1000 // every) * every / 1000
        for labels, samples in prometheus.steps(grown, start, last - new, every / 1000):
            times, values = np.array(samples).T
            part = RecordedSeries(dict(labels), _milliseconds(times, at), values)
            parts.setdefault(labels, []).append(fill_in(part, step, every))
    for labels, value in now.items():
        if labels not in parts:
            # It has been at 0: when it appeared does not matter, but that it is there before it grows does.
            times = _milliseconds(last - step / 1000 * np.arange(2.0, -1.0, -1.0), at)
            parts[labels] = [RecordedSeries(dict(labels), times, np.full(3, value))]
    for labels, found in parts.items():
        times = np.concatenate([each.times for each in found])
        values = np.concatenate([each.values for each in found])
        _, first = np.unique(times, return_index=True)
        late = round(1000 * (newest.get(labels, last) - last))
        yield RecordedSeries(dict(labels), times[first] + max(late, -step), values[first])


def _stretches(profile: Profile, oldest: float, step: int) -> Iterator[tuple[float, float, int]]:
    """Yield the ages (seconds) at which stretches of the past begin and end, and the milliseconds between samples."""
    fine = _FINE_WINDOWS * profile.pairs[0].long
    yield oldest, fine, _whole_steps(min(_VISIBLE_S, (oldest - fine) / _COARSE_STEPS), step)
    yield fine, 0.0, _whole_steps(profile.windows[0] / _FINE_STEPS, step)


def _whole_steps(seconds: float, step: int) -> int:
    """Return the milliseconds as a multiple of the scrape interval."""
    return max(1, int(seconds * 1000 / step)) * step


def _milliseconds(times: Array, at: float) -> Times:
    return np.rint((times - at) * 1000).astype(np.int64)


def _by_labels(found: list[tuple[dict[str, str], float]]) -> Iterator[tuple[frozenset[tuple[str, str]], float]]:
    for labels, value in found:
        yield frozenset(item for item in labels.items() if item[0] != "__name__"), value
