"""The result of a back-test, as printed and as JSON."""

from datetime import datetime

from chaosapi.durations import Duration
from chaosapi.models import Model
from chaosapi.slo.severity import Severity


class FiringSpan(Model):
    """One time that an alert fired; `resolved` is None for an alert that still fires at the end."""

    pending: datetime
    firing: datetime
    resolved: datetime | None


class Comparison(Model):
    """A predicted firing, a recorded one, or a pair of both; differences are recorded minus predicted, in seconds."""

    predicted: FiringSpan | None
    recorded: FiringSpan | None
    firing_off: float | None
    resolved_off: float | None


class BacktestedAlert(Model):
    """The alert of one window pair."""

    alert: str
    slo: str
    severity: Severity
    long_window: str
    short_window: str
    burn_rate: float
    peak: float
    """The highest burn rate that both windows reached at the same time."""
    compared: bool
    """Whether evaluations of the alert's rule are recorded, so that the prediction can be compared."""
    episodes: list[Comparison]


class Backtest(Model):
    """Predicted and recorded firings of each alert."""

    start: datetime
    end: datetime
    alerts: list[BacktestedAlert]
    intervals: dict[str, Duration]
    """The evaluation interval of the rules of each SLO."""
    missing: list[str]
    """The SLOs that could not be tested, with the reasons."""
