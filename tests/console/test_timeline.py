import json
from typing import Any

import pytest

from chaosapi.console.debrief import Debrief
from chaosapi.console.export import as_html, as_json
from chaosapi.console.timeline import merge
from chaosapi.console.zones import Zone

ALERT = {"slo": "availability", "severity": "page", "long_window": "1h", "short_window": "5m"}


def at(second: float) -> str:
    """Return a time of the story, in seconds since midnight."""
    return f"2026-01-01T00:00:{second:06.3f}Z"


def fault(name: str, start: float, end: float) -> dict[str, Any]:
    """Return a fault as in the service's response."""
    receipt = {"injected": 1, "matched": 4, "achieved_rate": 0.25}
    return {"name": name, "starts_at": at(start), "ends_at": at(end), "receipt": receipt}


def story(now: float) -> list[tuple[str, float | None]]:
    """Return the timeline up to a second of the story, oldest first."""
    change = {"at": at(10), "actor": "ann", "action": "create", "fault": "drill", "reason": "<why>", "spec": None}
    told = {
        "labels": ALERT,
        "starts_at": at(15),
        "received_at": at(15.5),
        "ends_at": None,
        "resolved_received_at": None,
    }
    matchers = [{"name": name, "value": value} for name, value in ALERT.items()]
    silence = {"matchers": matchers, "startsAt": at(20), "endsAt": at(50), "createdBy": "bob", "comment": "on it"}
    midnight = 1767225600
    found = merge([fault("drill", 10, 40), fault("never", 12, 11)], [change], [told], [silence], midnight + now)
    return [(entry.text, entry.since) for entry in reversed(found)]


def test_events_of_all_sources_are_sorted_with_seconds_since_the_injection() -> None:
    """Future events are missing, and so is a fault that was ended before its start."""
    assert story(45) == [
        ("ann: create drill: <why>", 0.0),
        ("drill begins", 0.0),
        ("page availability 1h/5m fires", 5.0),
        ("page availability 1h/5m is notified", 5.5),
        ("bob silences page availability 1h/5m: on it", 10.0),
        ("drill ends: 1 of 4 hit, 25.00%", 30.0),
    ]
    assert story(9) == []


def test_seconds_count_from_the_right_fault_of_a_reused_name() -> None:
    """The service has only the second fault; the audit has the first."""
    made = {"actor": "ann", "action": "create", "fault": "drill", "reason": ""}
    audit = [{**made, "at": at(second), "spec": {"schedule": {"start_after": "0s"}}} for second in (10, 30)]
    told = {"labels": ALERT, "starts_at": at(15), "received_at": None, "ends_at": None, "resolved_received_at": None}
    found = merge([fault("drill", 30, 50)], audit, [told], [], 1767225640)
    assert [entry.since for entry in found if entry.kind == "alert"] == [5.0]


def test_alerts_of_one_slo_in_the_same_second_are_one_event() -> None:
    """Eight alerts of one fault are not eight lines; pages and tickets stay apart."""

    def told(second: float, **labels: str) -> dict[str, Any]:
        return {
            "labels": ALERT | labels,
            "starts_at": at(second),
            "received_at": None,
            "ends_at": None,
            "resolved_received_at": None,
        }

    delivered = [
        told(15.2),
        told(15.9, long_window="6h", short_window="30m"),
        told(15.3, severity="ticket"),
        told(16.1, long_window="3d", short_window="6h"),
    ]
    found = merge([], [], delivered, [], 2e9)
    assert [(entry.text, entry.event, entry.is_page) for entry in reversed(found)] == [
        ("page availability 1h/5m, 6h/30m fires", "fires", True),
        ("ticket availability 1h/5m fires", "fires", False),
        ("page availability 3d/6h fires", "fires", True),
    ]


@pytest.mark.parametrize(
    "actor", ["</script><b>", "<!--<script>", "<!-- <script", "]]>", "\u2028\u2029", "&lt;/script>", "</ScRiPt >"]
)
def test_the_exports_have_the_same_data_and_are_self_contained(actor: str) -> None:
    """The page contains the JSON; user text cannot become markup, and nothing is loaded from other hosts."""
    entry = {"at": at(1), "actor": actor, "action": "halt", "fault": None, "reason": "", "spec": None}
    entries = merge([], [entry], [], [], 2e9)
    written = Debrief(2e9, entries, [], [])
    page = as_html(written, Zone())
    assert "<b>" not in page.partition('id="timeline"')[0]
    data = page.partition('id="timeline">')[2].partition("</script>")[0]
    assert json.loads(data) == json.loads(as_json(written))
    assert json.loads(data)["entries"][0]["text"] == f"{actor}: halt"
    assert not set(data) & set("<>&\u2028\u2029")
    assert "http" not in page
