import math
import socket
import time
from datetime import UTC, datetime
from typing import Any

import httpx2
import pytest
from fastapi.testclient import TestClient
from hypothesis import given
from hypothesis import strategies as st

from chaosapi.faults.guard import AlertFiring, BudgetBurned
from tests.api.test_webhooks import notification
from tests.conftest import Clock, Serve
from tests.patience import patience

BURNED = {"stop_when": {"budget_burned": 0.25}}
PAGED = {"stop_when": {"alert": "ErrorBudgetBurn", "severity": "page"}}


def inject(client: TestClient, guard: dict[str, Any], **fault: Any) -> None:
    """Create the fault `f`, which fails every request, with a guard."""
    body = {"name": "f", "effect": {"type": "error"}, "schedule": {"duration": "1h"}, "guard": guard, **fault}
    assert client.post("/admin/faults", json=body).status_code == 201


def look(client: TestClient, clock: Clock) -> str:
    """Deliver an alert that no guard matches, which triggers an evaluation; return the fault's state."""
    other = notification("firing", datetime.fromtimestamp(clock.now, UTC), alertname="Other")
    client.post("/hooks/alertmanager", json=other)
    return str(client.get("/admin/faults/f").json()["state"])


def test_the_burned_budget_is_the_burn_rate_times_the_share_of_the_period() -> None:
    """At burn rate 1 the budget lasts for one period; at 100 % failures it burns a thousand times faster than that."""
    monthly = BudgetBurned(budget_burned=1)
    assert monthly.burned(1000, 1, 30 * 86400) == pytest.approx(1)
    assert monthly.burned(50, 50, 648) == pytest.approx(0.25)
    assert BudgetBurned(budget_burned=1, objective=0.99, period=3600).burned(100, 10, 360) == pytest.approx(1)
    assert monthly.burned(0, 0, 3600) == 0


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(1, 10**6), st.floats(0.5, 0.9999), st.floats(60, 10**7))
def test_a_steady_budget_is_burned_as_if_it_were_counted(
    answered: int, ratio: float, elapsed: float, objective: float, period: float
) -> None:
    """The formula equals the failures divided by the failures that steady traffic may have in a period."""
    failed = math.floor(ratio * answered)
    allowed = (1 - objective) * answered / elapsed * period
    burned = BudgetBurned(budget_burned=1, objective=objective, period=period).burned(answered, failed, elapsed)
    assert burned == pytest.approx(failed / allowed)


def test_a_guard_matches_an_alert_by_its_labels() -> None:
    """All labels of the guard must match; the alert may have others."""
    labels = {"alertname": "ErrorBudgetBurn", "severity": "page", "service": "shop", "slo": "availability"}
    said = "alert ErrorBudgetBurn (page, shop, availability) is firing"
    assert AlertFiring(alert="ErrorBudgetBurn", labels={"slo": "availability"}).cause(labels) == said
    assert AlertFiring(alert="ErrorBudgetBurn", severity="ticket").cause(labels) is None
    assert AlertFiring(alert="ErrorBudgetBurn", labels={"team": "a"}).cause(labels) is None
    assert AlertFiring(alert="Other").cause({"alertname": "Other"}) == "alert Other is firing"


def test_a_guard_knows_pages_whatever_their_file_calls_them() -> None:
    """The kind decides where the alert has one; other severities are labels."""
    page = {"alertname": "ErrorBudgetBurn", "severity": "critical", "sloth_severity": "page"}
    for severity, expected in (("page", True), ("critical", True), ("ticket", False), ("warning", False)):
        assert (AlertFiring(alert="ErrorBudgetBurn", severity=severity).cause(page) is not None) == expected
    swapped = page | {"severity": "ticket"}
    assert AlertFiring(alert="ErrorBudgetBurn", severity="page").cause(swapped)
    assert not AlertFiring(alert="ErrorBudgetBurn", severity="ticket").cause(swapped)


def test_a_burned_budget_ends_the_fault_and_says_why(client: TestClient, clock: Clock) -> None:
    """A thousandth of 30 days is 43.2 minutes; failing all of 10.8 minutes burns a quarter of the budget."""
    client.get("/api/products")
    inject(client, BURNED)
    for _ in range(4):
        assert client.get("/api/products").status_code == 503
    clock.now += 640
    assert look(client, clock) == "active"
    clock.now += 9
    assert look(client, clock) == "ended"
    assert client.get("/api/products").status_code == 200
    entry = client.get("/admin/audit").json()["entries"][0]
    said = "guard: 25 % of the 30-day error budget burned since the start"
    assert [entry[field] for field in ("actor", "action", "fault", "reason")] == ["guard", "end", "f", said]


def test_failures_before_the_faults_start_do_not_count(client: TestClient, clock: Clock) -> None:
    """Failures of another fault before the start are ignored; those after it count."""
    client.post("/admin/faults", json={"name": "other", "effect": {"type": "error"}, "schedule": {"duration": "10h"}})
    client.get("/api/products")
    inject(client, BURNED, schedule={"start_after": "1h", "duration": "1h"})
    clock.now += 3600
    assert look(client, clock) == "active"
    client.delete("/admin/faults/other")
    client.delete("/admin/faults/f")
    client.put("/admin/faults/f", json={"effect": {"type": "error"}, "guard": BURNED, "rate": 1e-9})
    client.get("/api/products")
    clock.now += 800
    assert look(client, clock) == "active"


def test_a_guard_may_be_added_or_removed_while_the_fault_acts(client: TestClient, clock: Clock) -> None:
    """A merge patch removes it, or adds one that counts from the fault's start."""
    inject(client, BURNED)
    client.get("/api/products")
    assert client.patch("/admin/faults/f", json={"guard": None}).json()["guard"] is None
    clock.now += 700
    assert look(client, clock) == "active"
    client.patch("/admin/faults/f", json={"guard": BURNED})
    assert look(client, clock) == "ended"


def test_a_firing_alert_ends_the_fault_as_it_arrives(client: TestClient, clock: Clock) -> None:
    """An alert of another name or severity does not end it."""
    inject(client, PAGED)
    now = datetime.fromtimestamp(clock.now, UTC)
    client.post("/hooks/alertmanager", json=notification("firing", now, severity="ticket"))
    assert client.get("/admin/faults/f").json()["state"] == "active"
    client.post("/hooks/alertmanager", json=notification("firing", now))
    assert client.get("/admin/faults/f").json()["state"] == "ended"
    entry = client.get("/admin/audit").json()["entries"][0]
    assert entry["reason"] == "guard: alert ErrorBudgetBurn (page) is firing"


def test_an_alert_counts_while_it_fires(client: TestClient, clock: Clock) -> None:
    """An alert that fires before the start ends the fault when it starts; a resolved alert does not."""
    now = datetime.fromtimestamp(clock.now, UTC)
    client.post("/hooks/alertmanager", json=notification("firing", now))
    inject(client, PAGED, schedule={"start_after": "1m"})
    assert look(client, clock) == "scheduled"
    client.post("/hooks/alertmanager", json=notification("resolved", now, now.isoformat()))
    clock.now += 60
    assert look(client, clock) == "active"
    client.post("/hooks/alertmanager", json=notification("firing", now))
    client.put("/admin/faults/f", json={"effect": {"type": "error"}, "guard": PAGED})
    assert look(client, clock) == "ended"


@pytest.mark.parametrize(
    ("guard", "field", "says"),
    [
        ({}, "guard.stop_when", "required"),
        ({"alert": "ErrorBudgetBurn"}, "guard.alert", "the fields here are stop_when"),
        ({"stop_when": {}}, "guard.stop_when", '{"budget_burned": 0.25}'),
        ({"stop_when": "now"}, "guard.stop_when", '{"alert": "ErrorBudgetBurn"}'),
        ({"stop_when": {"budget_burned": 25}}, "guard.stop_when.budget_burned", "did you mean 0.25"),
        ({"stop_when": {"budget_burned": 0.1, "objective": 1}}, "guard.stop_when.objective", "less than 1"),
        ({"stop_when": {"budget_burned": 0.1, "period": "0s"}}, "guard.stop_when.period", "greater than 0"),
        ({"stop_when": {"alert": ""}}, "guard.stop_when.alert", "at least 1 character"),
        ({"stop_when": {"alert": "A", "severty": "page"}}, "guard.stop_when.severty", "did you mean 'severity'"),
        ({"stop_when": {"budget_burned": 0.1, "severity": "page"}}, "guard.stop_when.severity", "objective, period"),
        ({"stop_when": {"alert": "A", "budget_burned": 0.1}}, "guard.stop_when", "either"),
    ],
)
def test_an_invalid_guard_is_refused_with_what_would_be_valid(
    client: TestClient, guard: dict[str, Any], field: str, says: str
) -> None:
    """The problem names the field, and nothing is changed."""
    answer = client.post("/admin/faults", json={"effect": {"type": "error"}, "guard": guard})
    assert answer.status_code == 422
    assert says in {each["field"]: each["message"] for each in answer.json()["errors"]}[field]
    assert client.get("/admin/faults").json()["faults"] == []


def test_a_guard_is_shown_with_its_defaults(client: TestClient) -> None:
    """In the response and in the list."""
    inject(client, BURNED)
    assert client.get("/admin/faults/f").json()["guard"]["stop_when"] == {
        "budget_burned": 0.25,
        "objective": 0.999,
        "period": "720h",
    }


@pytest.mark.slow
def test_a_guard_works_while_the_main_event_loop_is_blocked(serve: Serve) -> None:
    """With an admin port, the control plane's event loop evaluates guards without any request."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    admin = f"http://127.0.0.1:{port}/admin"
    main = serve("--admin-port", str(port))
    guard = {"stop_when": {"budget_burned": 0.25, "period": "4h"}}  # all failing, that is 3.6 s
    httpx2.put(f"{admin}/faults/f", json={"effect": {"type": "error"}, "guard": guard}).raise_for_status()
    assert httpx2.get(f"{main}/api/products").status_code == 503
    httpx2.put(f"{admin}/faults/frozen", json={"effect": {"type": "pause", "pause": "1m", "every": "2m"}})
    with pytest.raises(httpx2.ReadTimeout):
        httpx2.get(f"{main}/api/products", timeout=0.5)
    deadline = time.monotonic() + patience(60)
    while httpx2.get(f"{admin}/faults/f").json()["state"] != "ended":
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert httpx2.get(f"{admin}/audit").json()["entries"][0]["actor"] == "guard"
    assert httpx2.get(f"{admin}/faults/frozen").json()["state"] == "active"
    httpx2.delete(f"{admin}/faults").raise_for_status()
