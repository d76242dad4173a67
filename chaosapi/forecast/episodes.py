"""The states of an alert over time, pending, firing and resolved, as in Prometheus' rule manager."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from chaosapi.forecast.promql import Times


@dataclass(frozen=True)
class Episode:
    """One time that the alert's expression held: the evaluations (ms) that changed the state; None: not reached."""

    pending: int
    firing: int | None
    resolved: int | None


def count_episodes(holds: NDArray[np.bool_]) -> int:
    """Count the episodes without building a list of them."""
    return _changes(holds).size // 2


def find_episodes(holds: NDArray[np.bool_], times: Times, pending_for: int) -> list[Episode]:
    """Return the episodes of an alert whose expression `holds` at these evaluation times, with `for` in milliseconds.

    An alert is pending from the first evaluation at which the expression holds, fires at the first evaluation at least
    `for` later while the expression still holds (at once without `for`), and is resolved at the first evaluation at
    which the expression no longer holds.
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
    """Return the indices at which the expression begins to hold and ceases to hold, alternating."""
    return np.flatnonzero(np.diff(np.concatenate([[False], holds, [False]]).astype(np.int8)))
