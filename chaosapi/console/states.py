"""When each alert was in which state, as bands along a stretch of time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from chaosapi.console.alertmanager import AlertmanagerState, is_silenced_by
from chaosapi.console.signals import spans

State = Literal["inactive", "pending", "firing", "silenced", "inhibited"]
LABELS: Final = ("alertname", "service", "slo", "severity", "long_window", "short_window")
"""The labels that people tell alerting rules apart by."""

_SIGNS: Final = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
_MUTED: Final = ("silenced", "inhibited")

Key = tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """A state and its time, Unix seconds."""

    state: State
    start: float
    end: float


@dataclass(frozen=True)
class AlertState:
    """One alert that is not silent: its labels and annotations, its state now, since when, and who mutes it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: State
    since: str
    muted_by: tuple[str, ...] = ()


def alert_key(labels: Mapping[str, str]) -> Key:
    """Return what tells an alert's rule from the others."""
    return tuple(labels.get(name, "") for name in LABELS)


def identity(labels: Mapping[str, str]) -> Key:
    """Return what tells an alert from the others, those of its own rule too."""
    return tuple(f"{name}={value}" for name, value in sorted(labels.items()) if name != "alertstate")


def other_labels(labels: Mapping[str, str]) -> str:
    """Return the labels that the title leaves out, but those by which Sloth says the same once more."""
    shown = ("severity", "slo", "long_window", "short_window", "alertname")
    others = (f"{name}={labels[name]}" for name in labels if name not in shown and not name.startswith("sloth_"))
    return " ".join([labels.get("alertname", ""), *others]).strip()


def title(labels: Mapping[str, str]) -> str:
    """Name an alert in a line."""
    windows = "/".join(filter(None, (labels.get("long_window"), labels.get("short_window"))))
    words = (labels.get("severity"), labels.get("slo"), windows or labels.get("alertname"))
    return " ".join(filter(None, words))


def describe_matchers(matchers: Iterable[Mapping[str, Any]]) -> str:
    """Return in a line what a silence mutes: the title of what it names, and all that it asks for besides."""
    exact = {}
    others = []
    for matcher in matchers:
        sign = _SIGNS[matcher.get("isEqual", True), matcher.get("isRegex", False)]
        if sign == "=":
            exact[matcher["name"]] = matcher["value"]
        else:
            others.append(f"{matcher['name']}{sign}{matcher['value']}")
    return " ".join(filter(None, (title(exact), other_labels(exact).removeprefix(title(exact)).strip(), *others)))


def current_states(ruled: Iterable[Mapping[str, Any]], alerting: AlertmanagerState | None) -> tuple[AlertState, ...]:
    """Return the alerts known to Alertmanager and those pending in Prometheus (`ruled`), pages first.

    Where Alertmanager tells nothing, Prometheus tells of the firing ones too.
    """
    found = [
        AlertState(
            alert["labels"],
            alert["annotations"],
            _state(alert["status"]),
            alert["startsAt"],
            tuple(alert["status"]["silencedBy"] or alert["status"]["inhibitedBy"]),
        )
        for alert in (alerting.alerts if alerting else ())
    ]
    known = {identity(each.labels) for each in found}
    found += [
        AlertState(alert["labels"], alert["annotations"], alert["state"], alert["activeAt"])
        for alert in ruled
        if identity(alert["labels"]) not in known and (alert["state"] == "pending" or alerting is None)
    ]
    return tuple(
        sorted(found, key=lambda each: (each.labels.get("severity") != "page", each.since, identity(each.labels)))
    )


def state_bands(
    alerts: Iterable[Mapping[str, Any]],
    silences: Iterable[Mapping[str, Any]],
    inhibited: Mapping[Key, list[Band]],
    step: float,
) -> dict[Key, list[Band]]:
    """Return each rule's bands from the series of `ALERTS`; while it fires, silence and inhibition show instead.

    Those that mute come last, as they lie upon the others, and else the latest.
    `inhibited` is what was seen, since no source keeps it; a sample stands for `step` seconds.
    """
    found: dict[Key, list[Band]] = {}
    for series in alerts:
        labels = series["metric"]
        state: State = "firing" if labels["alertstate"] == "firing" else "pending"
        told = spans((float(at) for at, _ in series["values"]), step)
        muted: list[Band] = []
        if state == "firing":
            muted = [_of(silence) for silence in silences if is_silenced_by(silence, labels)]
            muted += inhibited.get(alert_key(labels), [])
        place = found.setdefault(alert_key(labels), [])
        for start, end in told:
            place.append(Band(state, start, end))
            place += [
                Band(each.state, max(start, each.start), min(end, each.end))
                for each in muted
                if each.start < end and each.end > start
            ]
    return {name: sorted(place, key=lambda band: (band.state in _MUTED, band.end)) for name, place in found.items()}


def unix_time(text: str) -> float:
    """Read RFC 3339 text as Unix seconds."""
    return datetime.fromisoformat(text).timestamp()


def _of(silence: Mapping[str, Any]) -> Band:
    return Band("silenced", unix_time(silence["startsAt"]), unix_time(silence["endsAt"]))


def _state(status: Mapping[str, Any]) -> State:
    if status["silencedBy"]:
        return "silenced"
    return "inhibited" if status["inhibitedBy"] else "firing"
