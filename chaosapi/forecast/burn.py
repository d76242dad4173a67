"""The burn rates that the recording rules of an SLO write at each evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce

import numpy as np

from chaosapi.forecast.arrays import Array
from chaosapi.forecast.counters import Counter
from chaosapi.forecast.promql import Range, Times
from chaosapi.forecast.recording import RecordedSeries

Signed = Sequence[tuple[int, Counter]]
"""Counters of a query, each with the sign of its term."""
Rates = Sequence[tuple[int, Array]]
"""Rates of counters over a window at each evaluation, each with the sign of its term."""


@dataclass(frozen=True)
class BurnRates:
    """The burn rate over one window at each evaluation; NaN where the rule returns no value."""

    rate: Array
    deviation: Array
    """One standard deviation of the burn rate: requests are hit at random, so bad requests are binomial."""
    failures: Array
    """Bad events in the window, as `min_failures` counts them."""


def rates_of(window: Range, terms: Sequence[tuple[int, RecordedSeries]]) -> Rates:
    """Return the rates over a window of series that were recorded, or are continued; one sample has no rate."""
    ranges: dict[int, Range] = {}

    def over(times: Times) -> Range:
        if id(times) not in ranges:
            ranges[id(times)] = replace(window, scrapes=times)
        return ranges[id(times)]

    return [(sign, over(series.times).rate(series.counter)) for sign, series in terms if series.times.size > 1]


def burn_over(window: Range, error: Signed, total: Signed, budget: float) -> BurnRates:
    """Return the burn rate over a window, as the rule does: absent without traffic, 0 without bad events."""
    return burn_from_rates(_rates(window, error), _rates(window, total), window, budget)


def burn_from_rates(error: Rates, total: Rates, window: Range, budget: float) -> BurnRates:
    """Return the burn rate from the rates over a window."""
    bad = _sum(error, window.ends.size)
    all_ = _sum(total, window.ends.size)
    seconds = window.length / 1000
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(all_ > 0, np.nan_to_num(bad, nan=0.0) / all_, np.nan)
        share = np.clip(ratio, 0, 1)
        deviation = np.sqrt(share * (1 - share) / (all_ * seconds))
    return BurnRates(ratio / budget, deviation / budget, bad * seconds)


def _rates(window: Range, terms: Signed) -> Rates:
    return [(sign, window.rate(counter)) for sign, counter in terms]


def _sum(rates: Rates, size: int) -> Array:
    """Add the rates as `sum()` does: absent rates (NaN) count as 0, and the sum is absent where all rates are."""
    return reduce(_plus, (sign * rate for sign, rate in rates), np.full(size, np.nan))


def _plus(one: Array, other: Array) -> Array:
    both = np.nan_to_num(one, nan=0.0) + np.nan_to_num(other, nan=0.0)
    return np.where(np.isnan(one) & np.isnan(other), np.nan, both)
