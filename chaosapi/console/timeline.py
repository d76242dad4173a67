"""Merge faults, alerts, silences and the audit log into one list, with seconds since the latest injection."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from chaosapi import durations
from chaosapi.alert_labels import severity
from chaosapi.clients import world_actions
from chaosapi.console.states import describe_matchers, is_page, slo_name, title, unix_time, windows

Json = Mapping[str, Any]
Kind = Literal["fault", "alert", "silence", "change"]
Event = Literal["begins", "ends", "fires", "notified", "resolves", "changes"]


_VERBS: Final[Mapping[str, tuple[str, Event]]] = {
    "starts_at": ("fires", "fires"),
    "received_at": ("is notified", "notified"),
    "ends_at": ("resolves", "resolves"),
    "resolved_received_at": ("is notified as resolved", "notified"),
}


@dataclass(frozen=True)
class TimelineEntry:
    """One event: Unix seconds, its kind and text, and seconds since the latest fault that began before it, if any.

    `is_page` is whether it is about an alert that is a page.
    """

    at: float
    kind: Kind
    text: str
    since: float | None = None
    event: Event = "changes"
    is_page: bool = False


def merge(
    faults: Iterable[Json], audit: Iterable[Json], delivered: Iterable[Json], silences: Iterable[Json], now: float
) -> list[TimelineEntry]:
    """Return all events until `now`, newest first; `since` counts from the latest fault that began before."""
    faults = list(faults)
    audit = list(audit)
    found = [*_faults(faults), *_audit(audit), *_alerts(delivered), *_silences(silences)]
    found = sorted((entry for entry in found if entry.at <= now), key=lambda entry: entry.at, reverse=True)
    begun = sorted({*_starts(faults), *_starts_in_audit(audit)})

    def since(at: float) -> float | None:
        before = bisect_right(begun, at)
        return round(at - begun[before - 1], 1) if before else None

    return [replace(entry, since=since(entry.at)) for entry in found]


def _starts(faults: Iterable[Json]) -> Iterable[float]:
    """Return when faults began, without faults that were ended before their start."""
    spans = ((unix_time(fault["starts_at"]), unix_time(fault["ends_at"])) for fault in faults)
    return (start for start, end in spans if end > start)


def _starts_in_audit(audit: Iterable[Json]) -> Iterable[float]:
    """Return starts from the audit log, which also has faults that were deleted when their name was used again."""
    made = (entry for entry in audit if entry["spec"] and entry["action"] in ("create", "replace"))
    delays = ((entry["at"], entry["spec"]["schedule"]["start_after"]) for entry in made)
    return (unix_time(at) for at, delay in delays if not durations.parse(delay))


def _faults(faults: Iterable[Json]) -> Iterable[TimelineEntry]:
    for fault in faults:
        start = unix_time(fault["starts_at"])
        end = unix_time(fault["ends_at"])
        if end > start:  # else it was ended before its start
            yield TimelineEntry(start, "fault", f"{fault['name']} begins", event="begins")
            yield TimelineEntry(end, "fault", f"{fault['name']} ends: {_receipt(fault['receipt'])}", event="ends")


def _receipt(receipt: Json) -> str:
    return f"{receipt['injected']} of {receipt['matched']} hit, {receipt['achieved_rate']:.2%}"


def _audit(audit: Iterable[Json]) -> Iterable[TimelineEntry]:
    for entry in audit:
        about = f" {entry['fault']}" if entry["fault"] else ""
        about += "".join(f", {world_actions.words(field)}" for field in entry.get("fields", ()))
        why = f": {entry['reason']}" if entry["reason"] else ""
        yield TimelineEntry(unix_time(entry["at"]), "change", f"{entry['actor']}: {entry['action']}{about}{why}")


def _alerts(delivered: Iterable[Json]) -> Iterable[TimelineEntry]:
    """Return the events of alerts; alerts of one SLO and severity with the same event in the same second are one."""
    together: dict[tuple[str, str, int], list[tuple[float, Json]]] = {}
    for alert in delivered:
        labels = alert["labels"]
        about = slo_name(labels) or labels.get("alertname", "")
        for event, at in _times(alert):
            together.setdefault((event, f"{severity(labels)} {about}", int(at)), []).append((at, labels))
    for (words, about, _), members in together.items():
        at, labels = min(members, key=lambda member: member[0])
        several = len({windows(each) for _, each in members}) > 1
        name = f"{about} {', '.join(sorted({windows(each) for _, each in members}))}" if several else title(labels)
        verb, event = _VERBS[words]
        yield TimelineEntry(at, "alert", f"{name} {verb}", event=event, is_page=is_page(labels))


def _times(alert: Json) -> Iterable[tuple[str, float]]:
    fields = ("starts_at", "received_at", "ends_at", "resolved_received_at")
    return ((name, unix_time(alert[name])) for name in fields if alert[name])


def _silences(silences: Iterable[Json]) -> Iterable[TimelineEntry]:
    for silence in silences:
        what = describe_matchers(silence["matchers"])
        yield TimelineEntry(
            unix_time(silence["startsAt"]), "silence", f"{silence['createdBy']} silences {what}: {silence['comment']}"
        )
        yield TimelineEntry(unix_time(silence["endsAt"]), "silence", f"the silence of {what} ends")
