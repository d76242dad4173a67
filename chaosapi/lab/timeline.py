"""The moments after a fault, as Prometheus and the webhook recorded them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

from chaosapi.slo.windows import WindowPair, format_window

Samples = Sequence[Sequence[tuple[float, float]]]
"""Series of (Unix seconds, value), as `Prometheus.samples` returns them."""

APPLIED: Final = "fault applied"
BAD_SCRAPE: Final = "first bad scrape"
PENDING: Final = "alert pending"
FIRING: Final = "firing in Prometheus"
RECEIVED: Final = "received from Alertmanager"
ENDED: Final = "fault ended"
RESOLVED: Final = "resolved in Prometheus"
RESOLVED_RECEIVED: Final = "resolved received"
MOMENTS: Final = (APPLIED, BAD_SCRAPE, PENDING, FIRING, RECEIVED, ENDED, RESOLVED, RESOLVED_RECEIVED)
"""The moments in the order in which they happen."""


@dataclass(frozen=True)
class ExpectedAlert:
    """The alert to wait for: its SLO and its window pair."""

    slo: str
    pair: WindowPair

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels that identify this alert."""
        return {"slo": self.slo, "severity": self.pair.severity, "long_window": format_window(self.pair.long)}

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether labels are those of this alert."""
        return self.labels.items() <= labels.items()

    def selector(self, state: str) -> str:
        """Return PromQL for the evaluations of the last minutes that found the alert in this state."""
        matchers = ",".join(f'{name}="{value}"' for name, value in {**self.labels, "alertstate": state}.items())
        return f"ALERTS{{{matchers}}}[10m]"


def first_rise(series: Samples, after: float) -> float | None:
    """Return the time of the first sample, later than `after`, in which any of the counters had grown."""
    rises = [
        time
        for samples in series
        for (_, before), (time, value) in pairwise(samples)
        if time > after and value > before
    ]
    return min(rises, default=None)


def first_and_last(series: Samples, after: float) -> tuple[float, float] | None:
    """Return the times of the first and the last sample later than `after`, None without any."""
    times = [time for samples in series for time, _ in samples if time > after]
    return (min(times), max(times)) if times else None


def received(alerts: Iterable[Mapping[str, Any]], expected: ExpectedAlert, status: str, after: float) -> float | None:
    """Return when the webhook first got the expected alert in this status (firing, resolved) later than `after`."""
    moment = {"firing": "received_at", "resolved": "resolved_received_at"}[status]
    times = (
        datetime.fromisoformat(alert[moment]).timestamp()
        for alert in alerts
        if alert[moment] and expected.matches(alert["labels"])
    )
    return min((time for time in times if time > after), default=None)
