"""The result of a forecast, as printed and as JSON."""

from chaosapi.durations import Duration
from chaosapi.models import Model
from chaosapi.slo.severity import Severity


class AlertTimes(Model):
    """One episode of an alert, in seconds since the creation of the faults; None: not before the horizon."""

    pending: Duration
    firing: Duration | None
    """None: the condition holds for less than the alert's `for`."""
    notified: Duration | None
    """None: inhibited by a page, or resolved before Alertmanager sends a notification."""
    resolved: Duration | None
    resolved_notified: Duration | None
    spent: float | None
    """The share of the period's budget that is spent when the alert fires."""


class FiringRange(Model):
    """When the alert first fires: the wider of two ranges.

    One is for two standard deviations more, or fewer, requests that are hit than expected; the other has nine of ten
    random runs of the same traffic.

    The scrapes and evaluations of a forecast coincide with the creation of the faults; those of a real Prometheus do
    not. Therefore one evaluation interval is subtracted from the earliest time, and one scrape interval is added to the
    latest.
    """

    earliest: Duration | None
    """None: the alert hardly ever fires."""
    latest: Duration | None
    """None: the alert may not fire at all."""


class Firings(Model):
    """How often an alert fires by chance, in random runs of the same traffic: 90 % of them lie from low to high."""

    mean: float
    low: int
    high: int


class ResolutionRange(Model):
    """When an alert last resolves in nine of ten random runs of the same traffic."""

    earliest: Duration
    latest: Duration


class ClosedFormula(Model):
    """Results of the closed formulas for a constant fault with the highest error ratio of the forecast."""

    error_ratio: float
    detection: Duration | None
    """Time from the first bad request until the condition holds; None: never."""
    reset: Duration | None
    """Time from the last bad request until the condition no longer holds."""


class ForecastAlert(Model):
    """The alert of one window pair of one SLO."""

    alert: str
    slo: str
    severity: Severity
    long_window: str
    short_window: str
    burn_rate: float
    """The pair's factor: the alert fires above this burn rate."""
    fires: bool
    moments: list[AlertTimes]
    """The episodes of the alert."""
    already: bool
    """Whether the alert fires already when the faults are created."""
    firings: Firings | None
    """More than one firing is flapping. None where it would take too much work."""
    chance: FiringRange
    resolution: ResolutionRange | None
    """None where the alert may not fire, or not resolve before the horizon."""
    formula: ClosedFormula | None
    """None where no request of the SLO is bad."""
    peak: float
    """The highest burn rate that both windows reach at the same time."""
    reach: float
    """The peak as a share of `burn_rate`: above 1 the alert fires; 0.4 is 60 % below the threshold."""


class ForecastBudget(Model):
    """The error budget of one SLO; shares are those of the budget of a whole period, with the forecast's traffic."""

    slo: str
    requests: float
    """The expected requests of the SLO until the horizon."""
    bad: float
    spent: float
    left: float
    """The remaining share of a full budget; below 0 where more than the budget is spent."""


class Assumptions(Model):
    """What a forecast takes for granted."""

    requests_per_second: float
    mix: dict[str, float]
    """The share of each route."""
    traffic: str
    """Where the traffic comes from."""
    profile: str
    """The name of the profile of windows; empty for one from a file."""
    windows: list[str]
    """The window pairs."""
    period: Duration
    """The period of the error budget."""
    scrape: Duration
    evaluation: Duration
    past: str
    """What the windows contain before the faults."""
    others: list[str]


class RefusedSlo(Model):
    """An SLO that cannot be forecast."""

    slo: str
    reason: str


class Forecast(Model):
    """Predicted alerts and budgets."""

    assumptions: Assumptions
    horizon: Duration
    alerts: list[ForecastAlert]
    budgets: list[ForecastBudget]
    refused: list[RefusedSlo]
    """The SLOs that get no request, or whose queries cannot be read: nothing is said about their alerts."""
    not_modelled: list[str]
    """Faults that cannot be modelled, with the reasons; the forecast ignores these faults."""
