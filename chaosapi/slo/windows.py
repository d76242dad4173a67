"""Profiles of long and short windows over which burn rates are measured, from Sloth's `AlertWindows` files."""

import itertools
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from chaosapi import errors
from chaosapi.durations import Duration
from chaosapi.slo import burn_rate, document
from chaosapi.slo.document import FileModel
from chaosapi.slo.severity import Severity

FOLDER = Path(__file__).with_name("profiles")
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.yaml")))
"""The profiles that come with the package: lab and production."""

MIN_SCRAPES_PER_WINDOW = 4
"""The fewest scrapes that a window must span. Prometheus 3 leaves out the sample at a window's left edge: a window of
two scrapes then holds one increment, and one late scrape removes that increment too."""

SLOWEST_STEP_S = 60.0
"""The slowest step. Rules over a whole period run at every fourth step, which must stay below the five minutes for
which a sample is visible."""

_UNITS = (("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1))


def format_window(seconds: float) -> str:
    """Format a window as Prometheus prints durations and Sloth names rules: 60 → "1m", 4320 → "1h12m"."""
    rest = round(seconds * 1000)
    parts = []
    for unit, size in _UNITS:
        if unit == "w" and rest % size:  # Prometheus writes weeks only when nothing is left over
            continue
        count, rest = divmod(rest, size)
        parts += [f"{count}{unit}"] if count else []
    return "".join(parts) or "0s"


@dataclass(frozen=True)
class WindowPair:
    """Two windows (seconds) that must both burn faster than `factor` for an alert of this severity."""

    severity: Severity
    long: float
    short: float
    factor: float

    def __str__(self) -> str:
        return f"{format_window(self.long)}/{format_window(self.short)}"


class _Windows(FileModel):
    errorBudgetPercent: Annotated[float, Field(gt=0, le=100)]
    shortWindow: Annotated[Duration, Field(gt=0)]
    longWindow: Annotated[Duration, Field(gt=0)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.shortWindow >= self.longWindow:
            raise ValueError("shortWindow must be shorter than longWindow")
        return self


class _Severity(FileModel):
    quick: _Windows
    slow: _Windows


class _AlertWindowsSpec(FileModel):
    sloPeriod: Annotated[Duration, Field(gt=0)]
    page: _Severity
    ticket: _Severity

    @model_validator(mode="after")
    def _within(self) -> Self:
        for name, windows in itertools.product(("page", "ticket"), ("quick", "slow")):
            if getattr(getattr(self, name), windows).longWindow >= self.sloPeriod:
                raise ValueError(f"{name}.{windows}.longWindow must be shorter than sloPeriod")
        return self

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        seen: dict[tuple[float, float], str] = {}
        for name, windows in itertools.product(("page", "ticket"), ("quick", "slow")):
            pair = getattr(getattr(self, name), windows)
            here = f"{name}.{windows}"
            first = seen.setdefault((pair.longWindow, pair.shortWindow), here)
            if first != here:
                raise ValueError(
                    f"{here} has the windows of {first}: alerts are distinguished by their windows, so choose others"
                )
        return self


class Profile(FileModel):
    """A set of window pairs for one SLO period, as in an `AlertWindows` file."""

    apiVersion: Literal["sloth.slok.dev/v1"]
    kind: Literal["AlertWindows"]
    spec: _AlertWindowsSpec

    @property
    def period(self) -> float:
        """Return the SLO period P in seconds."""
        return self.spec.sloPeriod

    @cached_property
    def pairs(self) -> tuple[WindowPair, ...]:
        """Return the four pairs, quick page first; the factor is pct·P/L."""
        severities: tuple[tuple[Severity, _Severity], ...] = (("page", self.spec.page), ("ticket", self.spec.ticket))
        return tuple(
            WindowPair(
                severity,
                windows.longWindow,
                windows.shortWindow,
                round(burn_rate.factor(windows.errorBudgetPercent / 100, windows.longWindow, self.period), 9),
            )
            for severity, both in severities
            for windows in (both.quick, both.slow)
        )

    def pair(self, name: str | None = None) -> WindowPair:
        """Return a pair by its name ("1h/5m"), or the quickest; raises errors.Invalid for an unknown name."""
        names = {str(pair): pair for pair in self.pairs}
        if name is not None and name not in names:
            raise errors.Invalid.field("pair", f"{name} is none of {', '.join(names)}")
        return names[name] if name else self.pairs[0]

    @property
    def windows(self) -> list[float]:
        """Return every window of the pairs once, shortest first, in seconds."""
        return sorted({window for pair in self.pairs for window in (pair.short, pair.long)})

    @property
    def step(self) -> float:
        """Return the scrape and evaluation interval (seconds) at which five scrapes fit the shortest window: 60 or 1.

        At most 60: a sample is visible for 5 minutes, so a series recorded less often has gaps.
        """
        return min(self.windows[0] / 5, SLOWEST_STEP_S)

    def check(self, scrape: float) -> None:
        """Raise errors.Invalid for a scrape interval (seconds) that is too long for the shortest window."""
        shortest = self.windows[0]
        slowest = shortest / MIN_SCRAPES_PER_WINDOW
        if scrape > slowest:
            raise errors.Invalid.field(
                "scrape_interval",
                f"the window {format_window(shortest)} needs {MIN_SCRAPES_PER_WINDOW} scrapes: "
                f"scrape every {format_window(slowest)} or faster, not every {format_window(scrape)}",
            )

    def check_retention(self, retention: float) -> None:
        """Raise errors.Invalid for a retention (seconds) that is shorter than the SLO period.

        The remaining budget is computed from the counters of the whole period. Without the samples that Prometheus has
        deleted the remaining budget would be wrong, and no rule could detect that.
        """
        period = format_window(self.period)
        if retention < self.period:
            raise errors.Invalid.field(
                "retention",
                f"Prometheus forgets after {format_window(retention)} what the budget needs for {period}: errors "
                f"older than that would come back as budget. Keep {period} (--storage.tsdb.retention.time), "
                f"or use windows of an sloPeriod up to {format_window(retention)}",
            )


def load(profile: str | Path) -> Profile:
    """Read a profile by its name (`NAMES`) or the path of an `AlertWindows` file; raises errors.Invalid."""
    path = FOLDER / f"{profile}.yaml" if profile in NAMES else Path(profile)
    if not path.exists():
        raise errors.Invalid.field("profile", f"{profile} is neither one of {', '.join(NAMES)} nor a file")
    return document.read(path, Profile)


def name_of(profile: Profile) -> str:
    """Return the name of a profile that comes with the package; empty for any other."""
    return next((name for name in NAMES if load(name) == profile), "")
