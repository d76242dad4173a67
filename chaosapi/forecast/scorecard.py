"""What a scorecard says, as it is printed and sent."""

from typing import Literal

from chaosapi.models import Model
from chaosapi.slo.severity import Severity

Verdict = Literal["as forecast", "by chance", "off", "missed", "unexpected", "to come", "already firing"]
"""Within a scrape, an evaluation and group_wait; further off, but within two standard deviations of chance; further
still; said to fire, but did not; fired, but was not said to; not due yet; fired
since before the fault, so that nothing can be told from it."""


class ScoredTimes(Model):
    """When one alert did what, in seconds since the fault's start; None: not, or not yet."""

    firing: float
    notified: float | None
    resolved: float | None
    resolved_notified: float | None


class Difference(Model):
    """Fact less forecast, in seconds; None where one of them is missing."""

    firing: float | None
    notified: float | None
    resolved: float | None


class DetectionSplit(Model):
    """Where the time from the fault's start to the notification went, in seconds."""

    window: float
    """Until the windows held enough, had anybody looked all the time."""
    scrape: float
    """From there to the scrape that brought it to light."""
    evaluation: float
    """From that scrape to the evaluation that noticed."""
    pending: float
    """The alert's `for`."""
    group_wait: float | None
    """From firing to the notification; None: nobody was told."""


class ScoredAlert(Model):
    """One time that one alert fired, or was to."""

    alert: str
    slo: str
    severity: Severity
    long_window: str
    short_window: str
    verdict: Verdict
    forecast: ScoredTimes | None
    earliest: float | None
    """With luck (two standard deviations), and an evaluation earlier."""
    latest: float | None
    """With bad luck, and a scrape later; None: perhaps not at all."""
    fact: ScoredTimes | None
    off: Difference
    split: DetectionSplit | None
    """None where the scrapes are not known."""


class ForecastAndFact(Model):
    """A time in seconds as forecast and as it was."""

    forecast: float | None
    fact: float | None


class Score(Model):
    """The four attributes of an alerting strategy (SRE Workbook, chapter 5) for one fault, and every alert.

    A significant event is what the forecast says is to fire; where Prometheus was not asked, what it says is told.
    """

    fault: str
    precision: float | None
    """The share of what began to fire that was to; None: nothing did."""
    recall: float | None
    """The share of what was to fire by now that did; None: nothing was to."""
    detection: ForecastAndFact
    """From the fault's start to the first page's notification (its firing, where no notification is known)."""
    reset: ForecastAndFact
    """From the fault's end until no page fires any more; None: not over, or none fired."""
    alerts: list[ScoredAlert]
    missing: list[str]
    """What could not be known, and what follows from that."""
