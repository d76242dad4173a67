"""What a forecast says, as it is printed and sent."""

from chaosapi.durations import Duration
from chaosapi.models import Model
from chaosapi.slo.severity import Severity


class AlertTimes(Model):
    """One time that an alert goes off; all times since the faults were created, None: not before the horizon."""

    pending: Duration
    firing: Duration | None
    """None: the condition did not hold for as long as `for` says."""
    notified: Duration | None
    """None: silenced by a page, or over before Alertmanager told anybody."""
    resolved: Duration | None
    resolved_notified: Duration | None
    spent: float | None
    """The share of the period's budget that was spent when it fired."""


class FiringRange(Model):
    """When it first fires if chance hits more, or fewer, requests than expected: two standard deviations.

    A forecast's scrapes and evaluations coincide with the faults' creation; those of a real Prometheus do not. So the
    earliest moment lies an evaluation earlier than chance alone would have it, and the latest a scrape later.
    """

    earliest: Duration | None
    """None: not even with luck."""
    latest: Duration | None
    """None: perhaps not at all."""


class ClosedFormula(Model):
    """What the closed formulas say of a constant fault with the strongest error ratio that is forecast."""

    error_ratio: float
    detection: Duration | None
    """Time from the first bad request until the condition holds; None: never."""
    reset: Duration | None
    """Time from the last bad request until it no longer does."""


class ForecastAlert(Model):
    """One window pair of one SLO."""

    alert: str
    slo: str
    severity: Severity
    long_window: str
    short_window: str
    burn_rate: float
    """The pair's factor: it fires above this burn rate."""
    fires: bool
    moments: list[AlertTimes]
    """Each time that it goes off."""
    chance: FiringRange
    formula: ClosedFormula | None
    """None where no request of the SLO is bad."""
    peak: float
    """The highest burn rate that both windows reach together."""
    reach: float
    """The peak as a share of `burn_rate`: above 1 it fires; 0.4 stays 60 % below."""


class ForecastBudget(Model):
    """What becomes of one SLO's error budget; shares of a whole period's, with the traffic of the forecast."""

    slo: str
    requests: float
    """The SLO's requests until the horizon, expected."""
    bad: float
    spent: float
    left: float
    """Of a full budget; below 0 where more is spent than there is."""


class Forecast(Model):
    """What will happen."""

    horizon: Duration
    alerts: list[ForecastAlert]
    budgets: list[ForecastBudget]
    assumed: list[str]
    """What was taken for granted."""
    not_modelled: list[str]
    """Faults, or parts of them, about which nothing can be said; the rest is forecast as if they were not there."""
