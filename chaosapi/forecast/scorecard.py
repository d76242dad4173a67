"""The scorecard of a forecast, as printed and as JSON."""

from typing import Literal

from chaosapi.models import Model
from chaosapi.slo.severity import Severity

Verdict = Literal[
    "as forecast", "by chance", "off", "missed", "unexpected", "not forecast", "to come", "already firing"
]
"""How an alert's observed times compare with the forecast.

as forecast      at most one scrape, one evaluation and group_wait off
by chance        further off, but within two standard deviations of chance
off              further off than that
missed           forecast to fire, but did not
unexpected       fired, but was not forecast to
not forecast     fired while a fault acted whose outcome cannot be forecast
to come          not due yet
already firing   has fired since before the fault, so its times cannot be compared
"""


class ScoredTimes(Model):
    """The times of one alert, in seconds since the start of the fault; None: not reached, or not yet."""

    firing: float
    notified: float | None
    resolved: float | None
    resolved_notified: float | None


class Difference(Model):
    """Fact minus forecast, in seconds; None where either is missing."""

    firing: float | None
    notified: float | None
    resolved: float | None


class DetectionSplit(Model):
    """The time from the start of the fault to the notification, in parts, in seconds."""

    window: float
    """Until both windows exceed the threshold, under continuous scrapes and evaluations."""
    chance: float
    """How much later chance made it than expected, because fewer requests were hit; negative: earlier."""
    scrape: float
    """From there to the last scrape before the alert is pending, without what chance adds."""
    evaluation: float
    """From that scrape to the next evaluation, which sets the alert pending."""
    pending: float
    """The alert's `for`."""
    group_wait: float | None
    """From firing to the notification; None: no notification was sent."""


class ScoredAlert(Model):
    """One firing of one alert, forecast, observed or both."""

    alert: str
    slo: str
    severity: Severity
    long_window: str
    short_window: str
    verdict: Verdict
    forecast: ScoredTimes | None
    earliest: float | None
    """The earliest firing: two standard deviations more hits, minus one evaluation; None: no firing even then."""
    latest: float | None
    """The latest firing: two standard deviations fewer hits, plus one scrape; None: the alert may not fire."""
    fact: ScoredTimes | None
    off: Difference
    split: DetectionSplit | None
    """None where the times of the scrapes are not known."""


class ForecastAndFact(Model):
    """A time in seconds, as forecast and as observed."""

    forecast: float | None
    fact: float | None


class Score(Model):
    """The four attributes of an alerting strategy (SRE Workbook, chapter 5) for one fault, and every alert.

    A significant event is an alert that is forecast to fire; where Prometheus was not queried, an alert that is
    forecast to be notified.
    """

    fault: str
    precision: float | None
    """The share of alerts that fired which were forecast to fire, or to fire again by chance; None: none fired.

    Without those that could not be forecast.
    """
    recall: float | None
    """The share of alerts forecast to fire by now which did fire; None: no alert was forecast to."""
    detection: ForecastAndFact
    """From the start of the fault to the first page's notification (or its firing, where no notification is known)."""
    reset: ForecastAndFact
    """From the end of the fault until no page fires; None: a page still fires, or no page fired."""
    alerts: list[ScoredAlert]
    missing: list[str]
    """The observations that are not available, and the consequences."""
