"""Merge faults, alerts, silences and the audit log into one list, with seconds since the latest injection."""

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from chaosapi import durations
from chaosapi.console.states import describe_matchers, title, unix_time

Json = Mapping[str, Any]
Kind = Literal["fault", "alert", "silence", "change"]


@dataclass(frozen=True)
class TimelineEntry:
    """One event: Unix seconds, its kind and text, and seconds since the latest fault that began before it, if any."""

    at: float
    kind: Kind
    text: str
    since: float | None = None


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

    return [TimelineEntry(entry.at, entry.kind, entry.text, since(entry.at)) for entry in found]


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
            yield TimelineEntry(start, "fault", f"{fault['name']} begins")
            yield TimelineEntry(end, "fault", f"{fault['name']} is over: {_receipt(fault['receipt'])}")


def _receipt(receipt: Json) -> str:
    return f"{receipt['injected']} of {receipt['matched']} hit, {receipt['achieved_rate']:.2%}"


def _audit(audit: Iterable[Json]) -> Iterable[TimelineEntry]:
    for entry in audit:
        about = f" {entry['fault']}" if entry["fault"] else ""
        why = f": {entry['reason']}" if entry["reason"] else ""
        yield TimelineEntry(unix_time(entry["at"]), "change", f"{entry['actor']}: {entry['action']}{about}{why}")


def _alerts(delivered: Iterable[Json]) -> Iterable[TimelineEntry]:
    for alert in delivered:
        name = title(alert["labels"])
        yield TimelineEntry(unix_time(alert["starts_at"]), "alert", f"{name} fires")
        if alert["received_at"]:
            yield TimelineEntry(unix_time(alert["received_at"]), "alert", f"{name} is notified")
        if alert["ends_at"]:
            yield TimelineEntry(unix_time(alert["ends_at"]), "alert", f"{name} resolves")
        if alert["resolved_received_at"]:
            yield TimelineEntry(unix_time(alert["resolved_received_at"]), "alert", f"{name} is notified as resolved")


def _silences(silences: Iterable[Json]) -> Iterable[TimelineEntry]:
    for silence in silences:
        what = describe_matchers(silence["matchers"])
        yield TimelineEntry(
            unix_time(silence["startsAt"]), "silence", f"{silence['createdBy']} silences {what}: {silence['comment']}"
        )
        yield TimelineEntry(unix_time(silence["endsAt"]), "silence", f"the silence of {what} ends")
