"""What is wrong now, from the states of Prometheus and Alertmanager."""

from typing import Any

import pytest

from chaosapi.console.signals import ALL
from chaosapi.console.situation import group_alerts, slo_healths, summarize
from chaosapi.console.slos import BudgetStatus, PairStatus, SloTarget
from chaosapi.console.states import AlertState

TARGETS = (
    SloTarget("shop-availability", 0.999, None, ALL),
    SloTarget("shop-checkout", 0.995, None, "/api/checkout"),
)


def labels(slo: str, severity: str = "page", windows: str = "1m/5s") -> dict[str, str]:
    """Return the labels of an alert of an SLO of the shop."""
    long, short = windows.split("/")
    return {
        "alertname": "ErrorBudgetBurn",
        "service": "shop",
        "slo": slo,
        "sloth_id": f"shop-{slo}",
        "severity": severity,
        "long_window": long,
        "short_window": short,
    }


def alert(state: str = "firing", since: str = "2026-01-01T00:00:00Z", **given: Any) -> AlertState:
    """Return an alert as it is now."""
    return AlertState(given.get("of", labels("availability")), {}, state, since)  # type: ignore[arg-type]


def budget(burn: float | None = 0.0, left: float | None = 0.9, **given: Any) -> BudgetStatus:
    """Return the budget of the shop's availability, with one page."""
    pair = PairStatus(labels("availability"), given.get("state", "inactive"), (burn, given.get("short", burn)))
    return BudgetStatus("shop-availability", 0.999, left, None, (pair,), burn)


@pytest.mark.parametrize(
    ("status", "scraped", "health"),
    [
        (budget(), True, "ok"),
        (budget(burn=1.0), True, "ok"),
        (budget(burn=20.0, state="firing"), True, "burning"),
        (budget(burn=20.0), True, "burning"),
        (budget(state="firing"), True, "recovering"),
        (budget(state="pending"), True, "recovering"),
        (budget(burn=0.0, left=0.0), True, "budget gone"),
        (budget(burn=None), True, "no traffic"),
        (budget(burn=None, short=0.0), True, "ok"),
        (budget(burn=None, left=None), True, "no traffic"),
        (budget(), False, "no data"),
        (budget(left=-1.0), False, "no data"),
    ],
)
def test_an_slo_is_ok_only_if_something_says_so(status: BudgetStatus, scraped: bool, health: str) -> None:  # noqa: FBT001
    """Without requests or without scrapes nothing is known; a long window that still burns is no burning."""
    (found,) = slo_healths([status], TARGETS, scraped=scraped)
    assert (found.name, found.health, found.route) == ("availability", health, ALL)


def test_the_health_is_described_with_its_numbers() -> None:
    """A burn rate below 1 is left out: it spends less than the budget."""
    told = [each.describe() for each in slo_healths([budget(burn=20.0), budget(), budget(left=0.0)], (), scraped=True)]
    assert told == ["burning, burn rate 20×, 90.0% of the budget left", "ok, 90.0% of the budget left", "budget gone"]


def test_the_alerts_of_one_slo_are_one_group() -> None:
    """Of two SLOs there are two, and an alert without an SLO is its own; the route is that of the SLO."""
    alerts = [
        alert(of=labels("checkout", "ticket", "24m/2m"), state="inhibited"),
        alert(of=labels("checkout", "page"), since="2026-01-01T00:00:05Z"),
        alert(of=labels("checkout", "page", "6m/30s"), since="2026-01-01T00:00:03Z"),
        alert(of=labels("availability", "ticket")),
        alert(of={"alertname": "StoreDown", "severity": "ticket"}, state="pending"),
        alert(of={"alertname": "HighLatency", "slo": "latency", "service": "shop", "handler": "/api/search"}),
    ]
    found = group_alerts(alerts, TARGETS)
    assert [(each.name, each.route, each.state, each.pages) for each in found] == [
        ("checkout", "/api/checkout", "firing", True),
        ("availability", ALL, "firing", False),
        ("latency", "/api/search", "firing", False),
        ("StoreDown", "", "pending", False),
    ]
    assert found[0].since == "2026-01-01T00:00:03Z"
    assert found[0].count() == "2 pages firing, 1 ticket inhibited"


def test_pages_come_before_tickets_and_firing_before_pending() -> None:
    """Also where the ticket has fired for longer."""
    alerts = [
        alert(of=labels("a", "ticket"), since="2026-01-01T00:00:00Z"),
        alert(of=labels("b", "page"), state="pending"),
        alert(of=labels("c", "page"), since="2026-01-01T00:01:00Z"),
    ]
    assert [each.name for each in group_alerts(alerts, ())] == ["c", "a", "b"]


def test_a_severity_of_another_vocabulary_is_read() -> None:
    """Sloth's own label decides."""
    assert group_alerts([alert(of={**labels("a", "sev1"), "sloth_severity": "page"})], ())[0].pages
    assert not group_alerts([alert(of={**labels("a", "page"), "sloth_severity": "ticket"})], ())[0].pages


def test_a_silence_of_a_group_matches_its_later_alerts_too() -> None:
    """Of an SLO, all alerts; of a cause, what its alerts have in common."""
    group = group_alerts([alert(of=labels("availability"))], ())[0]
    assert group.silenced_labels == {"alertname": "ErrorBudgetBurn", "service": "shop", "slo": "availability"}
    causes = [alert(of={"alertname": "Full", "severity": "ticket", "instance": name}) for name in "ab"]
    assert group_alerts(causes, ())[0].silenced_labels == {"alertname": "Full", "severity": "ticket"}


def test_one_sentence_says_what_is_wrong() -> None:
    """The worst first; an SLO whose alert fires is not named twice."""
    ok = slo_healths([budget(), budget()], (), scraped=True)
    assert summarize(ok, ()) == "Nothing is wrong: no alert is pending or firing, and all 2 SLOs are ok."
    burning = slo_healths([budget(burn=20.0)], (), scraped=True)
    assert summarize(burning, ()) == "availability: burning."
    groups = group_alerts([alert(), alert(of=labels("checkout", "ticket"))], ())
    assert summarize(burning, groups) == "A page fires for availability. A ticket fires for checkout."
    silent = slo_healths([budget(burn=None)], (), scraped=True)
    assert summarize(silent, ()) == "availability: no traffic."
    muted = group_alerts([alert("silenced")], ())
    assert summarize(ok, muted) == "No alert fires; pending or muted: availability."
