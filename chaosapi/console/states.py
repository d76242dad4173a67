"""The states of alerts: the present ones, and bands over time."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from chaosapi.alert_labels import severity
from chaosapi.console.alertmanager import AlertmanagerState, is_silenced_by
from chaosapi.console.signals import spans

State = Literal["inactive", "pending", "firing", "silenced", "inhibited"]
BandState = State | Literal["fault", "page"]
"""What a band may show: `page` is an alert that fires and is a page."""
LABELS: Final = ("alertname", "service", "slo", "severity", "long_window", "short_window")
"""The labels that identify an alerting rule."""

_SIGNS: Final = {(True, False): "=", (False, False): "!=", (True, True): "=~", (False, True): "!~"}
MUTED: Final = ("silenced", "inhibited")

Key = tuple[str, ...]


@dataclass(frozen=True)
class Band:
    """A state from start to end, Unix seconds."""

    state: BandState
    start: float
    end: float


@dataclass(frozen=True)
class AlertState:
    """One pending, firing or muted alert; `muted_by` names the silences or alerts that mute it."""

    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    state: State
    since: str
    muted_by: tuple[str, ...] = ()


def alert_key(labels: Mapping[str, str]) -> Key:
    """Return the key of an alert's rule."""
    return tuple(labels.get(name, "") for name in LABELS)


def identity(labels: Mapping[str, str]) -> Key:
    """Return the key of one alert: all its labels."""
    return tuple(f"{name}={value}" for name, value in sorted(labels.items()) if name != "alertstate")


def other_labels(labels: Mapping[str, str]) -> str:
    """Return the labels that the title leaves out, without Sloth's own, which repeat them."""
    shown = ("severity", "slo", "long_window", "short_window", "alertname")
    others = (f"{name}={labels[name]}" for name in labels if name not in shown and not name.startswith("sloth_"))
    return " ".join([labels.get("alertname", ""), *others]).strip()


def is_page(labels: Mapping[str, str]) -> bool:
    return severity(labels) == "page"


def slo_name(labels: Mapping[str, str]) -> str:
    """Return the name of an alert's SLO, "" if it has none."""
    return labels.get("sloth_slo") or labels.get("slo", "")


def windows(labels: Mapping[str, str]) -> str:
    """Return the window pair of an alert, such as `1h/5m`."""
    return "/".join(filter(None, (labels.get("long_window"), labels.get("short_window"))))


def distinguishing_labels(labels: Mapping[str, str]) -> str:
    """Return the labels that only this alert of its SLO or name may have, such as its route."""
    common = (*LABELS, "team", "burn_rate", "job")
    return " ".join(f"{name}={labels[name]}" for name in labels if name not in common and not name.startswith("sloth_"))


def title(labels: Mapping[str, str]) -> str:
    words = (labels.get("severity"), labels.get("slo"), windows(labels) or labels.get("alertname"))
    return " ".join(filter(None, words))


def describe_matchers(matchers: Iterable[Mapping[str, Any]]) -> str:
    """Return a silence's matchers in a line: the title of the labels that it names, then all other matchers."""
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
    """Return Alertmanager's alerts and the pending ones of Prometheus (`ruled`), pages first.

    Without Alertmanager's state, Prometheus' firing alerts are included too.
    """
    names = _muting_names(alerting) if alerting else {}
    found = [
        AlertState(
            alert["labels"],
            alert["annotations"],
            _state(alert["status"]),
            alert["startsAt"],
            tuple(names.get(each, each) for each in alert["status"]["silencedBy"] or alert["status"]["inhibitedBy"]),
        )
        for alert in (alerting.alerts if alerting else ())
    ]
    known = {identity(each.labels) for each in found}
    found += [
        AlertState(alert["labels"], alert["annotations"], alert["state"], alert["activeAt"])
        for alert in ruled
        if identity(alert["labels"]) not in known and (alert["state"] == "pending" or alerting is None)
    ]
    return tuple(sorted(found, key=lambda each: (not is_page(each.labels), each.since, identity(each.labels))))


def _muting_names(alerting: AlertmanagerState) -> dict[str, str]:
    """Return the title of each alert by its fingerprint, and author and comment of each silence by its id."""
    alerts = {alert["fingerprint"]: title(alert["labels"]) for alert in alerting.alerts if "fingerprint" in alert}
    return alerts | {each["id"]: f"{each['createdBy']}: {each['comment']}" for each in alerting.silences}


def state_bands(
    alerts: Iterable[Mapping[str, Any]],
    silences: Iterable[Mapping[str, Any]],
    inhibited: Mapping[Key, list[Band]],
    step: float,
) -> dict[Key, list[Band]]:
    """Return each rule's bands from the series of `ALERTS`, with the silences and inhibitions while it fires.

    Bands are sorted by their end, muting ones last, since they are drawn over the others. `inhibited` is the console's
    own record, since no source has it; a sample stands for the `step` seconds before it.
    """
    found: dict[Key, list[Band]] = {}
    for series in alerts:
        labels = series["metric"]
        state: State = "firing" if labels["alertstate"] == "firing" else "pending"
        stretches = spans((float(at) for at, _ in series["values"]), step)
        muted: list[Band] = []
        if state == "firing":
            muted = [_silence_band(silence) for silence in silences if is_silenced_by(silence, labels)]
            muted += inhibited.get(alert_key(labels), [])
        place = found.setdefault(alert_key(labels), [])
        for start, end in stretches:
            place.append(Band(state, start, end))
            place += [
                Band(each.state, max(start, each.start), min(end, each.end))
                for each in muted
                if each.start < end and each.end > start
            ]
    return {name: sorted(place, key=lambda band: (band.state in MUTED, band.end)) for name, place in found.items()}


def as_pages(bands: Iterable[Band]) -> list[Band]:
    """Return the bands of a page: it fires in another colour than a ticket."""
    return [Band("page", band.start, band.end) if band.state == "firing" else band for band in bands]


def unix_time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _silence_band(silence: Mapping[str, Any]) -> Band:
    return Band("silenced", unix_time(silence["startsAt"]), unix_time(silence["endsAt"]))


def _state(status: Mapping[str, Any]) -> State:
    if status["silencedBy"]:
        return "silenced"
    return "inhibited" if status["inhibitedBy"] else "firing"
