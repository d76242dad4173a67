import json
import threading
import zlib
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from fastapi.testclient import TestClient

from chaosapi.api import webhooks
from chaosapi.store.alerts import Delivery
from tests.conftest import Clock, MakeClient


def notification(status: str, starts: datetime, ends: str = "0001-01-01T00:00:00Z", **labels: str) -> dict[str, Any]:
    """Return a payload of Alertmanager's webhook, version 4."""
    every = {"alertname": "ErrorBudgetBurn", "severity": "page", **labels}
    alert = {
        "status": status,
        "labels": every,
        "annotations": {"summary": "burning"},
        "startsAt": starts.isoformat(),
        "endsAt": ends,
        "generatorURL": "http://127.0.0.1:9090/graph",
        "fingerprint": f"{zlib.crc32(repr(sorted(every.items())).encode()):016x}",
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


def listed(client: TestClient, limit: int = 100) -> list[dict[str, Any]]:
    """Return the delivered alerts."""
    alerts: list[dict[str, Any]] = client.get(f"/admin/alerts?limit={limit}").raise_for_status().json()["alerts"]
    return alerts


@pytest.mark.parametrize(("alerts", "pooled"), [(10, False), (2900, True)])
def test_a_large_notification_is_converted_in_the_pool_that_parsed_it(
    client: TestClient, clock: Clock, monkeypatch: pytest.MonkeyPatch, *, alerts: int, pooled: bool
) -> None:
    """One thread is busy instead of two; a small notification needs no place in the queue."""
    threads: set[str] = set()
    read = webhooks._delivery  # noqa: SLF001 - which thread does it is what is looked at

    def noted(alert: webhooks.WebhookAlert, now: datetime) -> Delivery:
        threads.add(threading.current_thread().name)
        return read(alert, now)

    monkeypatch.setattr(webhooks, "_delivery", noted)
    body = notification("firing", datetime.fromtimestamp(clock.now, UTC))
    one = {name: body["alerts"][0][name] for name in ("status", "startsAt", "endsAt")}
    body["alerts"] = [{**one, "labels": {"n": f"{number}"}} for number in range(alerts)]
    assert client.post("/hooks/alertmanager", json=body).json() == {"received": alerts}
    assert {name.startswith("large bodies") for name in threads} == {pooled}
    assert len(listed(client, 1000)) == min(alerts, 1000)


ZERO = "0001-01-01T00:00:00Z"
NOW = "2026-01-01T00:00:00Z"


@pytest.mark.parametrize("unset", [ZERO, "0001-01-01T00:00:00+00:00", None])
def test_an_unset_start_is_the_receipt_and_an_unset_end_gives_no_delay(
    client: TestClient, clock: Clock, unset: str | None
) -> None:
    """Go's zero time is no time; a repetition without a start continues the alert."""
    clock.now = datetime.fromisoformat(NOW).timestamp()
    body = notification("firing", datetime.fromtimestamp(clock.now, UTC))
    body["alerts"][0]["startsAt"] = unset
    for _ in range(2):
        assert client.post("/hooks/alertmanager", json=body).status_code == 200
        clock.now += 5
    (alert,) = listed(client)
    assert (alert["starts_at"], alert["delay"], alert["notifications"]) == (NOW, 0, 2)
    body["alerts"][0].update(status="resolved", endsAt=unset)
    assert client.post("/hooks/alertmanager", json=body).status_code == 200
    (alert,) = listed(client)
    assert (alert["starts_at"], alert["ends_at"], alert["resolved_delay"]) == (NOW, None, None)


def test_an_alert_that_ends_before_it_starts_is_refused(client: TestClient) -> None:
    """As Alertmanager's own API does; a firing alert's end lies in the future or is zero."""
    body = notification("resolved", datetime.fromisoformat(NOW), "2025-12-31T23:59:59Z")
    refused = client.post("/hooks/alertmanager", json=body)
    assert refused.status_code == 422
    assert "alerts.0.endsAt: an alert cannot end before it starts" in refused.json()["detail"]
    body["alerts"][0]["endsAt"] = NOW
    assert client.post("/hooks/alertmanager", json=body).status_code == 200


def test_null_is_an_empty_map(client: TestClient) -> None:
    """Go writes a map that was never made as null."""
    body = notification("firing", datetime.fromisoformat(NOW))
    body["alerts"][0].update(annotations=None, labels=None)
    assert client.post("/hooks/alertmanager", json=body).status_code == 200
    assert [(alert["labels"], alert["annotations"]) for alert in listed(client)] == [({}, {})]


def test_an_alert_is_one_entry_from_its_start_to_its_end(client: TestClient, clock: Clock) -> None:
    """Repetitions are counted and keep the first notification; delays are since startsAt, and since endsAt."""
    start = datetime.fromtimestamp(clock.now, UTC)
    clock.now += 2.5
    assert client.post("/hooks/alertmanager", json=notification("firing", start)).json() == {"received": 1}
    (firing,) = listed(client)
    assert (firing["status"], firing["delay"], firing["notifications"]) == ("firing", 2.5, 1)
    assert (firing["ends_at"], firing["resolved_received_at"], firing["resolved_delay"]) == (None, None, None)
    assert firing["labels"]["severity"] == "page"
    clock.now += 60
    client.post("/hooks/alertmanager", json=notification("firing", start))
    ended = (start + timedelta(seconds=61)).isoformat()
    for _ in range(2):  # Alertmanager repeats what it does not know to have arrived
        client.post("/hooks/alertmanager", json=notification("resolved", start, ended))
    (resolved,) = listed(client)
    assert (resolved["status"], resolved["delay"], resolved["resolved_delay"]) == ("resolved", 2.5, 1.5)
    assert (resolved["received_at"], resolved["notifications"]) == (firing["received_at"], 4)
    assert resolved["last_received_at"] == resolved["resolved_received_at"] > firing["last_received_at"]


def test_a_late_resolved_notification_does_not_resolve_a_newer_alert(client: TestClient, clock: Clock) -> None:
    """Two Alertmanagers, or a retry, may deliver an earlier end while the alert fires again."""
    start = datetime.fromtimestamp(clock.now, UTC)
    ended = (start + timedelta(seconds=30)).isoformat()
    again = start + timedelta(seconds=60)
    late = notification("resolved", start, ended)
    for news in (notification("firing", start), late, notification("firing", again), late):
        client.post("/hooks/alertmanager", json=news).raise_for_status()
    told = {datetime.fromisoformat(alert["starts_at"]): alert["status"] for alert in listed(client)}
    assert told == {start: "resolved", again: "firing"}


def test_times_are_converted_to_utc(client: TestClient) -> None:
    """From any time zone; a time outside the years of UTC is refused."""
    tokyo = timezone(timedelta(hours=9))
    start = datetime(2026, 1, 1, 9, tzinfo=tokyo)
    client.post("/hooks/alertmanager", json=notification("firing", start)).raise_for_status()
    assert [alert["starts_at"] for alert in listed(client)] == ["2026-01-01T00:00:00Z"]
    first = notification("firing", datetime(1, 1, 1, tzinfo=tokyo))
    assert client.post("/hooks/alertmanager", json=first).status_code == 422


def test_an_alert_that_fires_again_is_another_entry(client: TestClient, clock: Clock) -> None:
    """Also without a resolved notification in between; the latest entry comes first."""
    start = datetime.fromtimestamp(clock.now, UTC)
    client.post("/hooks/alertmanager", json=notification("firing", start))
    clock.now += 60
    client.post("/hooks/alertmanager", json=notification("firing", start, slo="latency"))
    clock.now += 60
    again = datetime.fromtimestamp(clock.now, UTC)
    client.post("/hooks/alertmanager", json=notification("firing", again))
    client.post("/hooks/alertmanager", json=notification("resolved", again, again.isoformat()))
    client.post("/hooks/alertmanager", json=notification("firing", again))  # Prometheus had been away
    found = [(each["starts_at"], each["status"], each["ends_at"], each["notifications"]) for each in listed(client)]
    first, second = (f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in (start, again))
    assert found == [(second, "firing", None, 3), (first, "firing", None, 1), (first, "resolved", None, 1)]
    assert len(listed(client, limit=1)) == 1


def test_a_resolved_notification_without_a_firing_one_is_kept(client: TestClient, clock: Clock) -> None:
    """The service started after the firing notification, so the entry has no delay."""
    start = datetime.fromtimestamp(clock.now - 60, UTC)
    end = datetime.fromtimestamp(clock.now - 1, UTC).isoformat()
    client.post("/hooks/alertmanager", json=notification("resolved", start, end))
    (alert,) = listed(client)
    assert (alert["received_at"], alert["delay"], alert["resolved_delay"]) == (None, None, 1)


def test_a_flood_keeps_the_last_thousand_alerts_and_those_that_fire(client: TestClient, clock: Clock) -> None:
    """Resolved alerts do not evict a firing alert."""
    start = datetime.fromtimestamp(clock.now, UTC)
    client.post("/hooks/alertmanager", json=notification("firing", start))
    template = notification("resolved", start, start.isoformat())
    for status in ("firing", "resolved"):
        alerts = [
            {**template["alerts"][0], "status": status, "fingerprint": f"{n}", "labels": {"n": str(n)}}
            for n in range(999 if status == "firing" else 1500)
        ]
        client.post("/hooks/alertmanager", json={**template, "alerts": alerts})
    assert len(listed(client, limit=1000)) == 1000
    client.post("/hooks/alertmanager", json=notification("firing", start))
    assert listed(client)[0]["notifications"] == 2


def test_another_version_of_the_payload_is_refused(client: TestClient, clock: Clock) -> None:
    """No alert of it is kept."""
    body = {**notification("firing", datetime.fromtimestamp(clock.now, UTC)), "version": "3"}
    answer = client.post("/hooks/alertmanager", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "version")
    assert listed(client) == []


def test_the_webhook_needs_the_token(make_client: MakeClient, clock: Clock) -> None:
    """Without a token any client could forge an alert."""
    body = notification("firing", datetime.fromtimestamp(clock.now, UTC))
    client = make_client(admin_token="secret")
    assert client.post("/hooks/alertmanager", json=body).status_code == 401
    assert client.post("/hooks/alertmanager", json=body, headers={"authorization": "Bearer secret"}).status_code == 200


def with_alert(start: datetime, **fields: Any) -> dict[str, Any]:
    """Return a payload of one alert with these fields."""
    payload = notification("firing", start)
    return {**payload, "alerts": [{**payload["alerts"][0], **fields}]}


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"labels": {"alertname": "A", "team": "\ud800"}}, "alerts.0.labels.team"),
        ({"labels": {"\udfff": "a"}}, "alerts.0.labels"),
        ({"annotations": {"summary": "\ud800"}}, "alerts.0.annotations.summary"),
        ({"fingerprint": "\ud800"}, "alerts.0.fingerprint"),
        ({"generatorURL": ["\ud800"]}, "alerts.0.generatorURL.0"),
        ({"labels": {"n": 1}}, "alerts.0.labels.n"),
        ({"labels": {str(n): "" for n in range(1001)}}, "alerts.0.labels"),
    ],
)
def test_an_invalid_alert_is_refused_with_its_field(
    client: TestClient, clock: Clock, fields: dict[str, Any], field: str
) -> None:
    """The other alerts stay readable."""
    start = datetime.fromtimestamp(clock.now, UTC)
    client.post("/hooks/alertmanager", json=notification("firing", start)).raise_for_status()
    body = json.dumps(with_alert(start, **fields))
    answer = client.post("/hooks/alertmanager", content=body, headers={"content-type": "application/json"})
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])
    assert len(listed(client)) == 1


@pytest.mark.parametrize("text", ["a\nb\tc\x00\x1b", "\U0001f600 \u2028 \u202e", "<!--<script>", "x" * 2000])
def test_any_utf_8_text_of_an_alert_is_kept(client: TestClient, clock: Clock, text: str) -> None:
    """Prometheus allows any UTF-8 in labels and annotations."""
    body = with_alert(datetime.fromtimestamp(clock.now, UTC), labels={"alertname": text}, annotations={"summary": text})
    client.post("/hooks/alertmanager", json=body).raise_for_status()
    (alert,) = listed(client)
    assert (alert["labels"], alert["annotations"]) == ({"alertname": text}, {"summary": text})


def test_an_alert_with_long_texts_is_truncated_and_kept(client: TestClient, clock: Clock) -> None:
    """Truncated texts end with an ellipsis; of hundreds of labels the first are kept; the alert stays one entry."""
    start = datetime.fromtimestamp(clock.now, UTC)
    long = {f"{n}".rjust(300, "n"): "v" * 4000 for n in range(90)}
    for _ in range(2):
        body = with_alert(
            start, labels={"alertname": "A", **long}, annotations={"summary": "s" * 500_000}, fingerprint=""
        )
        assert client.post("/hooks/alertmanager", json=body).json() == {"received": 1}
    (alert,) = listed(client)
    assert alert["notifications"] == 2
    assert (alert["labels"]["alertname"], len(alert["labels"])) == ("A", 2)
    assert alert["annotations"]["summary"] == "s" * 1999 + "…"


def test_alerts_without_a_fingerprint_are_distinguished_by_their_labels(client: TestClient, clock: Clock) -> None:
    """Also if they differ only in the truncated part."""
    start = datetime.fromtimestamp(clock.now, UTC)
    for end in "ab":
        body = with_alert(start, labels={"alertname": "A" * 5000 + end}, fingerprint="")
        client.post("/hooks/alertmanager", json=body).raise_for_status()
    assert len({alert["fingerprint"] for alert in listed(client)}) == 2
