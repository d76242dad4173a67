"""Alerts in few words: a group for each severity, SLO and state, pages first."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from chaosapi.alert_labels import severity
from chaosapi.text import count_noun, escape_control

_ROUTE_LABELS: Final = ("method", "handler", "route", "point", "fault", "instance")
"""Labels that say what an alert is about, where no SLO does."""


@dataclass(frozen=True)
class AlertSummary:
    """Alerts of one severity and state about one SLO, or of one name; `details` are the windows or routes of each."""

    severity: str
    name: str
    state: str
    details: tuple[str, ...]

    @property
    def count(self) -> int:
        """Return the number of alerts."""
        return len(self.details)

    def __str__(self) -> str:
        words = [self.severity, self.name, self._detail()]
        if self.state != "firing":
            words.append(f"({self.state})")
        return escape_control(" ".join(filter(None, words)))  # a label may hold line ends

    def _detail(self) -> str:
        if self.count == 1:
            return self.details[0]
        routes = {each for each in self.details if each[:1] == "/" or " /" in each}
        return f"on {count_noun(self.count, 'route')}" if len(routes) == self.count else f"×{self.count}"


def summarize_alerts(alerts: Iterable[Mapping[str, Any]]) -> tuple[AlertSummary, ...]:
    """Return Prometheus' alerts in groups, pages first and firing ones before pending ones."""
    known = sorted((_key(alert), _detail(alert["labels"])) for alert in alerts)
    return tuple(
        AlertSummary(severity, name, state, tuple(detail for _, detail in group))
        for (_, _, severity, name, state), group in groupby(known, key=lambda each: each[0])
    )


def fit(items: Sequence[tuple[str, int]], width: int) -> str:
    """Return as many items as fit into so many columns, at least one, and how many things are left out.

    An item is a text and the number of things that it stands for.
    """
    texts = [text for text, _ in items]
    counts = [count for _, count in items]
    best = "none"
    for number in range(1, len(texts) + 1):
        left = sum(counts[number:])
        more = f", and {left} more" if left else ""
        line = ", ".join(texts[:number]) + more
        if len(line) <= width:
            best = line
        elif number == 1:
            best = f"{texts[0][: max(0, width - len(more) - 1)]}…{more}"
    return best


def _key(alert: Mapping[str, Any]) -> tuple[bool, bool, str, str, str]:
    labels = alert["labels"]
    kind = severity(labels)
    state = alert["state"]
    return kind != "page", state != "firing", kind, labels.get("slo") or labels.get("alertname", ""), state


def _detail(labels: Mapping[str, str]) -> str:
    windows = "/".join(labels[name] for name in ("long_window", "short_window") if name in labels)
    return windows or " ".join(labels[name] for name in _ROUTE_LABELS if name in labels)
