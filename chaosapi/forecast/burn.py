"""The burn rates that the recording rules of an SLO write at each evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from chaosapi.forecast.arrays import Array
from chaosapi.forecast.counters import Counter
from chaosapi.forecast.promql import Range

Signed = Sequence[tuple[int, Counter]]
"""Counters of a query, each with the sign of its term."""
Rates = Sequence[tuple[int, Array]]
"""Their rates over a window at each evaluation."""


@dataclass(frozen=True)
class BurnRates:
    """The burn rate over one window at each evaluation, NaN where the rule gives nothing."""

    rate: Array
    deviation: Array
    """One standard deviation of it by chance: which requests are hit is drawn, so bad ones are binomial."""
    failures: Array
    """Bad events in the window, as `min_failures` counts them."""


def burn_over(window: Range, error: Signed, total: Signed, budget: float) -> BurnRates:
    """Return the burn rate over a window; as in the rule absent without traffic, and 0 without bad events."""
    bad, all_ = ([(sign, window.rate(counter)) for sign, counter in terms] for terms in (error, total))
    return burn_from_rates(bad, all_, window, budget)


def burn_from_rates(error: Rates, total: Rates, window: Range, budget: float) -> BurnRates:
    """Return the burn rate from the rates over a window."""
    bad, all_ = (_sum(rates, window.ends.size) for rates in (error, total))
    seconds = window.length / 1000
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(all_ > 0, np.nan_to_num(bad, nan=0.0) / all_, np.nan)
        share = np.clip(ratio, 0, 1)
        deviation = np.sqrt(share * (1 - share) / (all_ * seconds))
    return BurnRates(ratio / budget, deviation / budget, bad * seconds)


def _sum(rates: Rates, size: int) -> Array:
    """Add the rates as `sum()` does: what is absent is left out, and all absent is absent."""
    return reduce(_plus, (sign * rate for sign, rate in rates), np.full(size, np.nan))


def _plus(one: Array, other: Array) -> Array:
    both = np.nan_to_num(one, nan=0.0) + np.nan_to_num(other, nan=0.0)
    return np.where(np.isnan(one) & np.isnan(other), np.nan, both)
