"""What a back-test says, as it is printed and sent."""

from datetime import datetime

from chaosapi.durations import Duration
from chaosapi.models import Model
from chaosapi.slo.severity import Severity


class FiringSpan(Model):
    """One time that an alert fired; None: beyond the end."""

    pending: datetime
    firing: datetime
    resolved: datetime | None


class Comparison(Model):
    """One time that an alert would have fired, did, or both; differences are recorded less predicted, in seconds."""

    predicted: FiringSpan | None
    recorded: FiringSpan | None
    firing_off: float | None
    resolved_off: float | None


class BacktestedAlert(Model):
    """One alert."""

    alert: str
    slo: str
    severity: Severity
    long_window: str
    short_window: str
    burn_rate: float
    peak: float
    """The highest burn rate that both windows reached together."""
    compared: bool
    """Whether its rule was evaluated at all, so that there is something to compare with."""
    episodes: list[Comparison]


class Backtest(Model):
    """When each alert would have fired."""

    start: datetime
    end: datetime
    alerts: list[BacktestedAlert]
    intervals: dict[str, Duration]
    """How often the rules of each SLO are evaluated."""
    missing: list[str]
    """What could not be tested, and why."""
