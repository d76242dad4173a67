"""When each alert was in which state, as bands along a stretch of time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from chaosapi.console.alertmanager import Alerting, matches
from chaosapi.console.signals import spans

State = Literal["inactive", "pending", "firing", "silenced", "inhibited"]
LABELS: Final = ("alertname", "service", "slo", "severity", "long_window", "short_window")
"""The labels that people tell alerts apart by."""

Key = tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """A state and its time, Unix seconds."""

    state: State
    start: float
    end: float


@dataclass(frozen=True)
class Told:
    """One alert that is not silent: its labels and annotations, its state now, since when, and who mutes it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: State
    since: str
    muted_by: tuple[str, ...] = ()


def key(labels: Mapping[str, str]) -> Key:
    """Return what tells an alert from the others."""
    return tuple(labels.get(name, "") for name in LABELS)


def title(labels: Mapping[str, str]) -> str:
    """Name an alert in a line."""
    windows = "/".join(filter(None, (labels.get("long_window"), labels.get("short_window"))))
    words = (labels.get("severity"), labels.get("slo"), windows or labels.get("alertname"))
    return " ".join(filter(None, words))


def now(pending: Iterable[tuple[Mapping[str, str], str | None]], alerting: Alerting | None) -> tuple[Told, ...]:
    """Return the alerts that are pending in Prometheus (labels, since) or known to Alertmanager, pages first."""
    found = [
        Told(
            alert["labels"],
            alert["annotations"],
            _state(alert["status"]),
            alert["startsAt"],
            tuple(alert["status"]["silencedBy"] or alert["status"]["inhibitedBy"]),
        )
        for alert in (alerting.alerts if alerting else ())
    ]
    known = {key(each.labels) for each in found}
    found += [Told(labels, {}, "pending", since or "", ()) for labels, since in pending if key(labels) not in known]
    return tuple(sorted(found, key=lambda each: (each.labels.get("severity") != "page", each.since, key(each.labels))))


def bands(
    alerts: Iterable[Mapping[str, Any]],
    silences: Iterable[Mapping[str, Any]],
    inhibited: Mapping[Key, list[Band]],
    step: float,
) -> dict[Key, list[Band]]:
    """Return each alert's bands from the series of `ALERTS`; while it fires, silence and inhibition show instead.

    `inhibited` is what was seen, since no source keeps it; a sample stands for `step` seconds.
    """
    found: dict[Key, list[Band]] = {}
    for series in alerts:
        labels = series["metric"]
        state: State = "firing" if labels["alertstate"] == "firing" else "pending"
        told = spans((float(at) for at, _ in series["values"]), step)
        muted: list[Band] = []
        if state == "firing":
            muted = [_of(silence) for silence in silences if matches(silence, labels)]
            muted += inhibited.get(key(labels), [])
        place = found.setdefault(key(labels), [])
        for start, end in told:
            place.append(Band(state, start, end))
            place += [
                Band(each.state, max(start, each.start), min(end, each.end))
                for each in muted
                if each.start < end and each.end > start
            ]
    return found


def instant(text: str) -> float:
    """Read RFC 3339 text as Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


def _of(silence: Mapping[str, Any]) -> Band:
    return Band("silenced", instant(silence["startsAt"]), instant(silence["endsAt"]))


def _state(status: Mapping[str, Any]) -> State:
    if status["silencedBy"]:
        return "silenced"
    return "inhibited" if status["inhibitedBy"] else "firing"
