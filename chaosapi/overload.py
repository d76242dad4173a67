"""Whether a machine is too busy for the numbers that are measured on it to be trusted.

Then the service's event loop is late, scrapes are slow, or scrapes are missing. Effects on the whole process cause the
same on purpose: while one of them acts, and for a window afterwards, nothing is concluded.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

SLOWING_EFFECTS: Final = frozenset({"pause", "cpu", "memory", "crash"})
"""Effects that make the event loop and the scrapes late."""
_MIN_WINDOW_S: Final = 30
_MAX_LAG_S: Final = 0.1
"""A median above it: every request waits that much longer, and a latency SLO of 250 ms measures the machine."""
_MAX_SCRAPE_RATIO: Final = 0.5
"""Of the scrape interval."""
_MAX_MISSING_RATIO: Final = 0.1
"""Of the scrapes of the window."""


@dataclass(frozen=True)
class Signs:
    """The results of `queries`, by their names; None where Prometheus has none."""

    loop_lag_s: float | None = None
    slow_scrape_s: float | None = None
    missing_ratio: float | None = None

    @classmethod
    def from_results(cls, results: Mapping[str, float]) -> "Signs":
        """Return the signs; NaN and infinity count as no result."""
        return cls(**{name: value for name, value in results.items() if math.isfinite(value)})


def window_s(interval_s: float) -> int:
    """Return the window of the queries for a scrape interval: at least ten scrapes."""
    return max(_MIN_WINDOW_S, math.ceil(10 * interval_s))


def queries(job: str, interval_s: float) -> dict[str, str]:
    """Return queries with at most one result each, by the fields of `Signs`."""
    window = f"{window_s(interval_s)}s"
    up = f'up{{job="{job}"}}'
    # A target that is younger than the window has not missed its first scrapes; scrapes of one that is down time out.
    # `up` may have a past that nobody scraped: the lab writes one.
    scraped = f'scrape_duration_seconds{{job="{job}"}}'
    scrapes = f"(count_over_time({scraped}[{window}]) and last_over_time({scraped}[{window}] offset {window}))"
    return {
        "loop_lag_s": f'max(quantile_over_time(0.5, chaosapi_event_loop_lag_seconds{{job="{job}"}}[{window}]))',
        "slow_scrape_s": (
            f'max(quantile_over_time(0.9, scrape_duration_seconds{{job="{job}"}}[{window}]) and ({up} == 1))'
        ),
        "missing_ratio": f"max(clamp_min(1 - {scrapes} * {interval_s:g} / {window_s(interval_s)}, 0))",
    }


def reasons(signs: Signs, interval_s: float) -> list[str]:
    """Return why the numbers are not to be trusted, each as a clause; empty if they are."""
    found = []
    if signs.loop_lag_s is not None and signs.loop_lag_s > _MAX_LAG_S:
        found.append(f"the service's event loop is {signs.loop_lag_s * 1000:.0f} ms late")
    if signs.slow_scrape_s is not None and signs.slow_scrape_s > _MAX_SCRAPE_RATIO * interval_s:
        found.append(f"scrapes take up to {signs.slow_scrape_s:.2g} s of every {interval_s:g} s")
    if signs.missing_ratio is not None and signs.missing_ratio > _MAX_MISSING_RATIO:
        found.append(f"{signs.missing_ratio:.0%} of the scrapes are missing")
    return found


def is_slowed_on_purpose(faults: Iterable[Mapping[str, Any]], now: float, window_s: float) -> bool:
    """Return whether one of the admin API's faults slows the process, or did in the window before `now` (Unix time)."""
    return any(
        fault["effect"]["type"] in SLOWING_EFFECTS
        and datetime.fromisoformat(fault["starts_at"]).timestamp() <= now
        and datetime.fromisoformat(fault["ends_at"]).timestamp() > now - window_s
        for fault in faults
    )
