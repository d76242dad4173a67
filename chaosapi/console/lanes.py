"""Lanes of a timeline: one for each fault, and one for each SLO or cause and severity."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from chaosapi.alert_labels import severity
from chaosapi.console.signals import Span
from chaosapi.console.states import MUTED, Band, Key, as_pages, is_page, slo_name, state_bands


@dataclass(frozen=True)
class Lane:
    """What happened to one thing: its bands in the order in which they are drawn."""

    name: str
    bands: list[Band]


def fault_lanes(faults: Mapping[str, list[Span]]) -> list[Lane]:
    """Return a lane for each fault, the first that acted above."""
    ordered = sorted(faults.items(), key=lambda each: each[1][0])
    return [Lane(f"fault {name}", [Band("fault", start, end) for start, end in spans]) for name, spans in ordered]


def alert_lanes(
    alerts: Iterable[Mapping[str, Any]],
    silences: Iterable[Mapping[str, Any]],
    inhibited: Mapping[Key, list[Band]],
    step: float,
) -> list[Lane]:
    """Return a lane for each SLO (or alert without one) and severity, pages above, from the series of `ALERTS`."""
    series = list(alerts)
    silences = list(silences)
    members: dict[tuple[bool, str], list[Mapping[str, Any]]] = {}
    for each in series:
        labels = each["metric"]
        name = slo_name(labels) or labels.get("alertname", "")
        members.setdefault((not is_page(labels), f"{severity(labels)} {name}".strip()), []).append(each)
    return [
        Lane(name, _merge(state_bands(found, silences, inhibited, step).values(), is_page=not is_ticket))
        for (is_ticket, name), found in sorted(members.items(), key=lambda item: item[0])
    ]


def _merge(bands: Iterable[list[Band]], *, is_page: bool) -> list[Band]:
    """Return the bands of several alerts in one lane, in drawing order: pending, over it firing, over that muted."""
    order = ["pending", "firing", *MUTED]
    found = sorted((band for each in bands for band in each), key=lambda band: (order.index(band.state), band.start))
    return as_pages(found) if is_page else found
