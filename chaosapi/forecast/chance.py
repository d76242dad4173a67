"""How often chance makes an alert fire: the same forecast for many random runs of the same traffic.

Expected counts alone say nothing about flapping. A short window of little traffic holds a handful of failures, so its
burn rate crosses the threshold again and again though its expectation lies above or below all the time.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from chaosapi.forecast.arrays import Array
from chaosapi.forecast.promql import Range
from chaosapi.forecast.result import Firings

MAX_RUNS: Final = 100
MIN_RUNS: Final = 20
_MAX_NUMBERS: Final = 1_500_000
_SEED: Final = 1
"""The same question has the same answer."""
_LIKELY: Final = (5, 95)


@dataclass(frozen=True)
class Runs:
    """Cumulative bad and all events of an SLO at the scrapes (rows) in each run (columns)."""

    bad: Array
    total: Array


def simulate(bad: Array, total: Array, random_from: int) -> Runs | None:
    """Return random runs of these expected cumulative counts, which are certain before index `random_from`.

    Requests arrive and are hit independently of each other, so the counts of a scrape interval are Poisson. Returns
    None where enough runs would take too much memory.
    """
    count = min(MAX_RUNS, _MAX_NUMBERS // max(1, bad.size))
    if count < MIN_RUNS:
        return None
    generator = np.random.default_rng(_SEED)
    failed = np.maximum(0.0, np.diff(bad, prepend=bad[:1]))
    fine = np.maximum(0.0, np.diff(total, prepend=total[:1]) - failed)

    def drawn(expected: Array) -> Array:
        rows = np.repeat(expected[:, None], count, axis=1)
        rows[random_from:] = generator.poisson(expected[random_from:, None], (expected.size - random_from, count))
        return rows

    failures = drawn(failed)
    successes = drawn(fine)
    return Runs(np.cumsum(failures, axis=0), np.cumsum(failures + successes, axis=0))


def burn_holds(runs: Runs, window: Range, budget: float, factor: float) -> NDArray[np.bool_]:
    """Return whether the burn rate over a window exceeds the factor, at each evaluation (rows) of each run."""
    samples = window.samples
    bad = runs.bad[samples.last] - runs.bad[samples.first]
    total = runs.total[samples.last] - runs.total[samples.first]
    return samples.enough[:, None] & (bad > factor * budget * total) & (total > 0)


class Outlook(NamedTuple):
    """How often an alert fires, and the evaluations at which it first fires and last resolves, early and late."""

    firings: Firings
    earliest: int | None
    """None: it hardly ever fires."""
    latest: int | None
    """None: it may not fire."""
    resolved: tuple[int, int] | None
    """None: it may not fire, or not resolve."""


def outlook(holds: NDArray[np.bool_], steps_pending: int) -> Outlook:
    """Return how an alert fares whose expression holds at these evaluations, and fires after that many of them."""
    fires = holds
    for step in range(1, steps_pending + 1):
        earlier = np.zeros_like(holds)
        earlier[step:] = holds[:-step]
        fires = fires & earlier
    starts = fires & ~np.vstack([np.zeros_like(fires[:1]), fires[:-1]])
    counts = starts.sum(axis=0)
    low, high = np.percentile(counts, _LIKELY, method="nearest")
    first = np.where(counts > 0, np.argmax(starts, axis=0), starts.shape[0])
    early, late = (int(each) for each in np.percentile(first, _LIKELY, method="nearest"))
    resolved = fires.shape[0] - np.argmax(fires[::-1], axis=0)[counts > 0]
    ends = [int(each) for each in np.percentile(resolved, _LIKELY, method="nearest")] if resolved.size else [0, 0]
    return Outlook(
        Firings(mean=round(float(counts.mean()), 2), low=int(low), high=int(high)),
        early if early < starts.shape[0] else None,
        late if late < starts.shape[0] else None,
        (ends[0], ends[1]) if late < starts.shape[0] and ends[1] < starts.shape[0] else None,
    )
