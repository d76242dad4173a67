"""When an alert is pending, firing and resolved, as the rule manager of Prometheus decides it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chaosapi.forecast.promql import Times


@dataclass(frozen=True)
class Episode:
    """One time that the alert's expression held: the evaluations (ms) that noticed; None: did not come."""

    pending: int
    firing: int | None
    resolved: int | None


def count_episodes(holds: NDArray[np.bool_]) -> int:
    """Count the episodes without making them."""
    return _changes(holds).size // 2


def find_episodes(holds: NDArray[np.bool_], times: Times, pending_for: int) -> list[Episode]:
    """Return the episodes of an alert whose expression `holds` at these evaluation times, with `for` in milliseconds.

    It is pending from the first evaluation that finds it, fires at the first one at least `for` later that still does
    (at once without `for`), and is resolved at the first that does not.
    """
    changes = _changes(holds)
    found = []
    for start, end in changes.reshape(-1, 2).tolist():
        firing = start + int(np.searchsorted(times[start:end], times[start] + pending_for))
        found.append(
            Episode(
                int(times[start]),
                int(times[firing]) if firing < end else None,
                int(times[end]) if end < times.size else None,
            )
        )
    return found


def _changes(holds: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Return the places at which it begins to hold and no longer does, in turn."""
    return np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
