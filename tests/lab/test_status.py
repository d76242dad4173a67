"""The status of a lab, without its processes."""

import time
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from chaosapi.lab.alert_summaries import AlertSummary, summarize_alerts
from chaosapi.lab.status import Status, label_links, reasons_not_to_trust

LINKS = {"console": "http://c", "Prometheus": "http://p", "Alertmanager": "http://a"}


def alert(severity: str, state: str = "firing", **labels: str) -> dict[str, Any]:
    """Return an alert as Prometheus does."""
    return {"labels": {"alertname": "ErrorBudgetBurn", "severity": severity, **labels}, "state": state}


def burn(severity: str, slo: str, *windows: str) -> list[dict[str, Any]]:
    """Return the alerts of an SLO for these windows, such as 1m/5s."""
    pairs = [each.split("/") for each in windows]
    return [alert(severity, slo=slo, long_window=long, short_window=short) for long, short in pairs]


SLOW = [alert("ticket", alertname="HighLatency", handler=f"/api/{number}", job="chaosapi") for number in range(6)]
MANY = [
    *burn("ticket", "availability", "24m/2m", "1h12m/6m"),
    *SLOW,
    *burn("page", "checkout-latency-p99", "1m/5s"),
    *burn("ticket", "checkout-latency-p99", "24m/2m", "1h12m/6m"),
    *burn("page", "availability", "1m/5s", "6m/30s"),
    *burn("ticket", "latency", "24m/2m", "1h12m/6m"),
    alert("page", "pending", alertname="TargetAbsent", job="chaosapi"),
    alert("ticket", alertname="EventLoopLag", instance="127.0.0.1:8000"),
]


def shown(alerts: list[dict[str, Any]]) -> list[str]:
    """Return the groups of alerts as text."""
    return [str(group) for group in summarize_alerts(alerts)]


def status(*, alerts: list[dict[str, Any]] | None = None, **changes: Any) -> Status:
    """Return the status of a healthy lab with these changes."""
    usual = {"targets": "1/1 up", "rules": "61/61 fine", "alerts": summarize_alerts(alerts or []), "faults": ()}
    return Status(**{**usual, **changes})


def test_alerts_are_grouped_pages_first() -> None:
    """One group for each severity, SLO or name, and state; one alert shows its windows or its route."""
    assert shown(MANY) == [
        "page availability ×2",
        "page checkout-latency-p99 1m/5s",
        "page TargetAbsent (pending)",
        "ticket EventLoopLag 127.0.0.1:8000",
        "ticket HighLatency on 6 routes",
        "ticket availability ×2",
        "ticket checkout-latency-p99 ×2",
        "ticket latency ×2",
    ]
    assert shown(SLOW[:1]) == ["ticket HighLatency /api/0"]
    assert summarize_alerts(MANY)[0] == AlertSummary("page", "availability", "firing", ("1m/5s", "6m/30s"))


def test_a_label_writes_no_lines() -> None:
    """It may be of anybody."""
    assert shown([alert("page", slo="a\nb\x1b[2J")]) == ["page a\\nb\\x1b[2J"]


@pytest.mark.parametrize("width", [70, 40, 240])
def test_many_alerts_and_faults_fit_into_the_terminal(width: int) -> None:
    """What is left out is counted."""
    lines = status(alerts=MANY, faults=tuple(f"fault-{'x' * number}" for number in range(30))).lines(width=width)
    assert all(len(line) <= width for line in lines)
    _, alerts, faults = lines
    assert alerts.startswith("alerts: page availability ")
    assert ("more" in alerts) == (width < 240)
    assert faults.endswith("more")
    if width == 70:
        assert alerts == "alerts: page availability ×2, and 15 more"


def test_a_healthy_lab_is_one_line() -> None:
    """Of less than eighty columns, with the time before it."""
    assert status().lines(width=70) == ["targets 1/1 up; rules 61/61 fine; alerts: none; faults: none"]


def test_only_changes_are_shown() -> None:
    """As they happen."""
    before = status()
    assert before.lines(before) == []
    assert status(faults=("f",)).lines(before) == ["faults: f"]
    assert status(targets="0/1 up").lines(before) == ["targets 0/1 up; rules 61/61 fine"]
    assert status(alerts=SLOW[:1]).lines(before) == ["alerts: ticket HighLatency /api/0"]
    assert before.lines(status(alerts=SLOW)) == ["alerts: none"]


def test_a_busy_machine_is_said_when_it_begins_and_when_it_ends() -> None:
    """Not each time that a figure changes."""
    calm = status()
    busy = status(too_busy=("the service's event loop is 310 ms late",))
    assert busy.lines(calm) == [
        "this machine is too busy, do not trust the numbers:",
        "  the service's event loop is 310 ms late",
    ]
    assert status(too_busy=("40% of the scrapes are missing",)).lines(busy) == []
    assert calm.lines(busy) == ["this machine is no longer too busy"]


def lab(figures: dict[str, float], *faults: str) -> Any:
    """Return a lab of these figures, by a word of their queries, and active faults of these effects."""
    now = time.time()
    listed = [
        {"effect": {"type": effect}, "starts_at": iso(now - 60), "ends_at": iso(now - 5), "name": effect}
        for effect in faults
    ]
    return SimpleNamespace(
        interval=1.0,
        target=SimpleNamespace(job="chaosapi"),
        admin=SimpleNamespace(list_faults=lambda: {"faults": listed}),
        prometheus=SimpleNamespace(value=lambda query: next((v for k, v in figures.items() if k in query), None)),
    )


def iso(moment: float) -> str:
    """Return a time as the admin API does."""
    return datetime.fromtimestamp(moment, UTC).isoformat()


def test_the_lab_reads_whether_its_numbers_are_to_be_trusted() -> None:
    """A fault that slows the service on purpose is no reason, also a moment after its end; other faults are none."""
    late = {"loop_lag": 0.31, "scrape_duration_seconds": 0.02}
    assert reasons_not_to_trust(lab({"loop_lag": 0.01})) == ()
    assert reasons_not_to_trust(lab(late, "error")) == ("the service's event loop is 310 ms late",)
    assert reasons_not_to_trust(lab(late, "error", "cpu")) == ()


def test_links_lead_to_pages_that_exist() -> None:
    """Debian's packages have none; then queries are graphed in the console."""
    assert label_links(LINKS, graph_page="/query", alertmanager_page=True) == LINKS | {"Prometheus": "http://p/query"}
    found = label_links(LINKS, graph_page="", alertmanager_page=False)
    assert found == {
        "console": "http://c",
        "queries": "http://c/query",
        "Prometheus (no page, HTTP API only)": "http://p",
        "Alertmanager (no page, HTTP API only)": "http://a",
    }
    assert "queries" not in label_links({"Prometheus": "p", "Alertmanager": "a"}, graph_page="", alertmanager_page=True)


def test_pages_are_known_whatever_their_file_calls_them() -> None:
    """By the label that no SLO file overrides."""
    renamed = [alert("critical", slo="a", sloth_severity="page"), alert("page", slo="b", sloth_severity="ticket")]
    assert [(group.severity, group.name) for group in summarize_alerts(renamed)] == [("page", "a"), ("ticket", "b")]
