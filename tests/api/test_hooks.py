from datetime import UTC, datetime, timedelta
from typing import Any

from fastapi.testclient import TestClient

from tests.conftest import Clock, MakeClient


def notification(status: str, starts: datetime, ends: str = "0001-01-01T00:00:00Z", **labels: str) -> dict[str, Any]:
    """Make a payload as Alertmanager's webhook sends it, version 4."""
    alert = {
        "status": status,
        "labels": {"alertname": "ErrorBudgetBurn", "severity": "page", **labels},
        "annotations": {"summary": "burning"},
        "startsAt": starts.isoformat(),
        "endsAt": ends,
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": "abc",
    }
    return {
        "version": "4",
        "groupKey": '{}:{alertname="ErrorBudgetBurn"}',
        "truncatedAlerts": 0,
        "status": status,
        "receiver": "chaosapi",
        "groupLabels": {},
        "commonLabels": {},
        "commonAnnotations": {},
        "externalURL": "http://127.0.0.1:9093",
        "alerts": [alert],
    }


def test_deliveries_are_kept_with_how_long_they_took(client: TestClient, clock: Clock) -> None:
    """Firing counts from startsAt, resolved from endsAt; newest first."""
    start = datetime.fromtimestamp(clock.now, UTC)
    clock.now += 2.5
    assert client.post("/hooks/alertmanager", json=notification("firing", start)).json() == {"received": 1}
    clock.now += 60
    ended = (start + timedelta(seconds=61)).isoformat()
    client.post("/hooks/alertmanager", json=notification("resolved", start, ended))
    resolved, firing = client.get("/admin/alerts").json()["alerts"]
    assert (firing["status"], firing["delay"], firing["ends_at"]) == ("firing", 2.5, None)
    assert (resolved["status"], resolved["delay"]) == ("resolved", 1.5)
    assert firing["labels"]["severity"] == "page"
    assert len(client.get("/admin/alerts?limit=1").json()["alerts"]) == 1


def test_another_version_of_the_payload_is_refused(client: TestClient, clock: Clock) -> None:
    """Nothing half-read is kept."""
    body = {**notification("firing", datetime.fromtimestamp(clock.now, UTC)), "version": "3"}
    answer = client.post("/hooks/alertmanager", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "version")
    assert client.get("/admin/alerts").json() == {"alerts": []}


def test_the_webhook_asks_for_the_token_too(make_client: MakeClient, clock: Clock) -> None:
    """Otherwise anybody could forge a page."""
    body = notification("firing", datetime.fromtimestamp(clock.now, UTC))
    client = make_client(admin_token="secret")
    assert client.post("/hooks/alertmanager", json=body).status_code == 401
    assert client.post("/hooks/alertmanager", json=body, headers={"authorization": "Bearer secret"}).status_code == 200
