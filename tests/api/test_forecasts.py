"""Forecasts of faults, and faults whose rate is given as a burn rate."""

import threading
import time
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import chaosapi
from chaosapi.api.forecasts import Forecaster, ForecastResponse
from chaosapi.settings import Settings, SettingsError
from tests.conftest import Clock, MakeClient
from tests.patience import patience

TRAFFIC = {"rps": 100}
ERROR = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}


def traffic(client: TestClient, *paths: str) -> None:
    """Send some requests."""
    for path in paths:
        client.get(path)


def fires(answer: dict[str, list[dict[str, object]]]) -> set[object]:
    """Return the window pairs that fire for availability."""
    return {alert["long_window"] for alert in answer["alerts"] if alert["fires"] and alert["slo"] == "availability"}


def test_a_forecast_names_the_alerts_and_changes_nothing(make_client: MakeClient) -> None:
    """20 % errors for three minutes page in the lab's first window; no fault is created."""
    client = make_client(profile="lab")
    answer = client.post("/admin/forecast", json={**ERROR, "traffic": TRAFFIC})
    assert answer.status_code == 200
    assert "1m" in fires(answer.json())
    assert answer.json()["traffic"]["rps"] == 100
    assert client.get("/admin/faults").json() == {"revision": 0, "halt": None, "faults": [], "next": None}


def test_a_fault_whose_condition_does_not_hold_is_forecast_to_do_nothing(make_client: MakeClient) -> None:
    """Nobody is expected to change the world; the forecast says why the fault does not act."""
    client = make_client(profile="lab", replica="shop-1")
    body = {**ERROR, "name": "f", "while": {"flags": {"new-pricing": True}}, "traffic": TRAFFIC}
    idle = client.post("/admin/forecast", json=body).json()
    assert not fires(idle)
    assert idle["not_modelled"] == ["f: acts on no request now: the flag new-pricing is off"]
    client.patch("/admin/world", json={"flags": {"new-pricing": True}})
    acting = client.post("/admin/forecast", json=body).json()
    assert "1m" in fires(acting)
    assert acting["not_modelled"] == []


def test_a_score_ends_the_fault_where_its_condition_stopped_to_hold(make_client: MakeClient, clock: Clock) -> None:
    """As far as the feed of changes goes back."""
    client = make_client(profile="lab")
    traffic(client, "/api/products")
    client.put("/admin/faults/f", json={**ERROR, "while": {"settings": {"shop_retries": {"above": 0}}}})
    clock.now += 60
    scored = client.get("/admin/faults/f/score").json()
    client.patch("/admin/world", json={"settings": {"shop_retries": 0}})
    clock.now += 600
    ended = client.get("/admin/faults/f/score").json()
    assert not any("f acted again" in each or "never acted" in each for each in ended["missing"])
    resolved = [alert["forecast"]["resolved"] for alert in ended["alerts"] if alert["forecast"]]
    before = [alert["forecast"]["resolved"] for alert in scored["alerts"] if alert["forecast"]]
    assert resolved
    assert all(now <= then - 100 for now, then in zip(resolved, before, strict=True))


def test_a_burn_rate_on_named_replicas_is_that_of_all_requests(make_client: MakeClient) -> None:
    """One replica is all there is: nothing changes; a name that nobody has now leaves the rate alone."""
    client = make_client(replica="shop-1", profile="lab")
    traffic(client, *["/api/products"] * 20)
    rates = [
        client.put(
            "/admin/faults/f",
            json={**ERROR, "rate": {"burn_rate": 10, "slo": "availability"}, "target": {"replicas": replicas}},
        ).json()["rate"]
        for replicas in (None, ["shop-1"])
    ]
    assert rates[0] == rates[1] > 0


def test_the_profiles_windows_decide_which_alerts_fire(make_client: MakeClient) -> None:
    """A fault of 2 % errors ends before the production windows detect it."""
    faint = {**ERROR, "rate": 0.02, "traffic": TRAFFIC}
    assert fires(make_client(profile="lab").post("/admin/forecast", json=faint).json())
    assert not fires(make_client().post("/admin/forecast", json=faint).json())


def test_monitoring_that_is_left_out_has_the_profiles_defaults(make_client: MakeClient) -> None:
    """With a group_wait alone, the lab still scrapes every second; only the notification moves."""
    client = make_client(profile="lab")
    usual, waited = (
        client.post("/admin/forecast", json={**ERROR, "traffic": TRAFFIC, **more}).json()["alerts"][0]["moments"][0]
        for more in ({}, {"monitoring": {"group_wait": "3s"}})
    )
    assert (usual["firing"], usual["notified"]) == ("5s", "5s")
    assert (waited["firing"], waited["notified"]) == ("5s", "8s")


def test_a_fault_starts_after_its_forecast(
    make_client: MakeClient, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time of the computation does not shorten the fault."""
    forecast = Forecaster.forecast
    asked = clock.now

    def slow(*arguments: Any) -> ForecastResponse:
        clock.now += 20
        return forecast(*arguments)

    monkeypatch.setattr(Forecaster, "forecast", slow)
    made = make_client().post("/admin/faults?forecast=true", json=ERROR).json()
    assert datetime.fromisoformat(made["created_at"]).timestamp() == asked + 20


def test_a_created_fault_has_a_forecast_if_requested(make_client: MakeClient) -> None:
    """The default is no forecast."""
    client = make_client(profile="lab")
    answer = client.post("/admin/faults?forecast=true", json={"name": "one", **ERROR}).json()
    assert "1m" in fires(answer["forecast"])
    assert client.post("/admin/faults", json={"name": "two", **ERROR}).json()["forecast"] is None


def test_a_burn_rate_is_converted_into_a_rate(client: TestClient) -> None:
    """The route gets half the traffic: 14.4 × 0.1 % / 50 % = 2.88 %; the response shows the calculation."""
    traffic(client, *["/api/products", "/api/search?q=lamp"] * 5)
    body = {
        "effect": {"type": "error"},
        "rate": {"burn_rate": 14.4, "slo": "shop-availability"},
        "target": {"routes": ["/api/search"]},
    }
    fault = client.post("/admin/faults", json=body).json()
    assert fault["rate"] == pytest.approx(0.0288, rel=1e-4)
    assert "14.4" in fault["rate_sum"]
    assert "0.0288" in fault["rate_sum"]


def test_a_patched_rate_replaces_the_calculation_too(client: TestClient) -> None:
    """A ratio has no calculation; a burn rate has its own."""
    traffic(client, "/api/products")
    client.put("/admin/faults/f", json={"effect": {"type": "error"}, "rate": {"burn_rate": 10, "slo": "availability"}})
    assert client.patch("/admin/faults/f", json={"rate": 0.5}).json()["rate_sum"] == ""
    patched = client.patch("/admin/faults/f", json={"rate": {"burn_rate": 20, "slo": "availability"}}).json()
    assert patched["rate"] == pytest.approx(0.02, rel=1e-4)
    assert patched["rate_sum"]


@pytest.mark.parametrize(
    ("rate", "sent", "says"),
    [
        ({"burn_rate": 14.4, "slo": "availability"}, False, "no traffic in the last minute"),
        ({"burn_rate": 14.4, "slo": "nonsense"}, True, "checkout"),
        ({"burn_rate": 5000, "slo": "availability"}, True, "ask for at most"),
        ({"burn_rate": -1, "slo": "availability"}, True, "greater than 0"),
        ({"burn": 3}, True, "burn_rate"),
    ],
)
def test_an_impossible_burn_rate_is_refused(
    client: TestClient,
    rate: object,
    sent: bool,  # noqa: FBT001 - a table
    says: str,
) -> None:
    """The problem has the reason, and no fault is created."""
    traffic(client, *["/api/products"] * sent)
    answer = client.post("/admin/faults", json={"effect": {"type": "error"}, "rate": rate})
    assert (answer.status_code, says in answer.text) == (422, True), answer.text
    assert client.get("/admin/faults").json()["faults"] == []


def test_forecasts_assume_the_traffic_of_the_last_minute(client: TestClient) -> None:
    """The shares are what was sent; without any, the shop's usual mix. The answer says which."""
    usual = client.post("/admin/forecast", json=ERROR).json()
    assert usual["traffic"]["shares"]["POST /api/checkout"] == 0.06
    assert usual["assumptions"]["traffic"] == "the shop's usual traffic"
    traffic(client, *["/api/products"] * 3, "/api/search?q=oak")
    measured = client.post("/admin/forecast", json=ERROR).json()
    mix = {"GET /api/products 200": 0.75, "GET /api/search 200": 0.25}
    assert measured["traffic"]["shares"] == measured["assumptions"]["mix"] == pytest.approx(mix)
    assert measured["assumptions"]["traffic"] == "measured in the last minute"
    assert [each["slo"] for each in measured["refused"]] == ["checkout-availability"]
    assert "checkout" not in {alert["slo"] for alert in measured["alerts"]}


def test_failures_of_a_fault_are_not_part_of_the_traffic(client: TestClient) -> None:
    """The next forecast assumes a healthy service; failures of the service itself count."""
    client.put("/admin/faults/f", json={"effect": {"type": "error"}})
    traffic(client, "/api/products", "/api/products")
    client.delete("/admin/faults/f")
    traffic(client, "/api/products")
    found = client.post("/admin/forecast", json=ERROR).json()["assumptions"]
    assert found["mix"] == {"GET /api/products 200": 1.0}
    assert "without its failures" in found["traffic"]


ITEMS = """\
version: prometheus/v1
service: items
slos:
  - name: reads
    objective: 99.9
    alerting: {}
    sli:
      events:
        error_query: sum(rate(http_requests_total{job="items", handler="HANDLER", status=~"5.."}[{{.window}}]))
        total_query: sum(rate(http_requests_total{job="items", handler="HANDLER"}[{{.window}}]))
  - name: latency
    objective: 99
    alerting: {}
    sli:
      events:
        error_query: >-
          sum(rate(http_request_duration_seconds_count{handler="/slow"}[{{.window}}]))
          - sum(rate(http_request_duration_seconds_bucket{handler="/slow", le="0.05"}[{{.window}}]))
        total_query: sum(rate(http_request_duration_seconds_count{handler="/slow"}[{{.window}}]))
"""


@contextmanager
def items(tmp_path: Path, handler: str) -> Iterator[TestClient]:
    """Yield a client of a user's app with two routes and its own SLO."""
    app = FastAPI()
    app.get("/items/{item_id}")(lambda item_id: item_id)
    app.post("/login", status_code=204)(lambda: None)
    app.get("/slow")(lambda: time.sleep(0.03))
    slo = tmp_path / "slo.yml"
    slo.write_text(ITEMS.replace("HANDLER", handler))
    chaosapi.install(app, Settings(slo=slo, profile="lab"))
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 50000)) as client:
        yield client


def test_a_users_slo_is_forecast_with_the_counted_traffic(tmp_path: Path) -> None:
    """With the app's routes, not the shop's: an SLO whose requests all fail pages after the second scrape."""
    with items(tmp_path, "/items/{item_id}") as client:
        traffic(client, "/items/1", "/items/2", "/items/3")
        client.post("/login")
        made = client.post("/admin/faults?forecast=true", json={"name": "f", "effect": {"type": "error"}})
        assert made.status_code == 201
        found = made.json()["forecast"]
    assert found["assumptions"]["mix"] == pytest.approx({"GET /items/{item_id} 200": 0.75, "POST /login 204": 0.25})
    page = found["alerts"][0]
    assert (page["slo"], page["long_window"], page["moments"][0]["firing"]) == ("reads", "1m", "1s")
    assert found["budgets"][0]["requests"] > 0


@pytest.mark.parametrize("path", ["/admin/forecast", "/admin/faults?forecast=true"])
@pytest.mark.parametrize(
    ("handler", "paths", "target", "says"),
    [
        ("/items/{item_id}", [], None, "there was no request in the last minute: send some, or give"),
        ("/items/{item_id}", ["/items/1"], ["/login"], "/login gets no request: the traffic"),
        ("/items/{id}", ["/items/1"], None, 'has {method="GET",handler="/items/{item_id}",status="200"}: did you mean'),
        ("/login", ["/items/1"], None, 'It selects http_requests_total{job="items",handler="/login"}'),
    ],
    ids=["no traffic", "fault", "other parameter", "idle route"],
)
def test_an_slo_without_requests_has_no_forecast(
    tmp_path: Path, path: str, handler: str, paths: list[str], target: list[str] | None, says: str
) -> None:
    """The error has the selectors without requests and the known routes; no fault is created."""
    with items(tmp_path, handler) as client:
        traffic(client, *paths)
        answer = client.post(path, json={"effect": {"type": "error"}, "target": {"routes": target}})
        assert answer.status_code == 422
        assert says in answer.json()["detail"]
        assert client.get("/admin/faults").json()["faults"] == []


def test_a_delay_is_added_to_the_usual_latency(tmp_path: Path) -> None:
    """On a route of 30 ms, 40 ms more exceed an SLO of 50 ms: the page fires, also after a fault like it."""
    delay = {"effect": {"type": "latency", "distribution": {"type": "constant", "value": "30ms"}}}
    with items(tmp_path, "/slow") as client:
        traffic(client, *["/slow"] * 3)
        budget = client.post("/admin/forecast", json=delay).json()["budgets"][1]
        assert budget["bad"] == pytest.approx(budget["requests"] * 900 / 1300, rel=0.5)
        client.put(
            "/admin/faults/f", json={"effect": {"type": "latency", "distribution": {"type": "constant", "value": 1}}}
        )
        traffic(client, "/slow")
        client.delete("/admin/faults/f")
        short = {"effect": {"type": "latency", "distribution": {"type": "constant", "value": "1ms"}}}
        assert client.post("/admin/forecast", json=short).json()["budgets"][1]["bad"] == 0


def test_traffic_may_be_given(tmp_path: Path) -> None:
    """For an app without requests."""
    with items(tmp_path, "/items/{item_id}") as client:
        question = {**ERROR, "traffic": {"rps": 20, "shares": {"/items/{item_id}": 1}}}
        found = client.post("/admin/forecast", json=question).json()
    assert found["assumptions"]["requests_per_second"] == 20
    assert found["alerts"][0]["fires"]


def test_an_unknown_profile_prevents_startup(make_client: MakeClient) -> None:
    """The error names the setting and the known profiles."""
    with pytest.raises(SettingsError, match=r"CHAOSAPI_PROFILE=weekly.*lab, production"):
        make_client(profile="weekly")


def test_a_score_compares_the_forecast_with_the_delivered_alerts(make_client: MakeClient, clock: Clock) -> None:
    """Delivered alerts are hits, undelivered ones are missed, and alerts that are not due yet have no verdict."""
    client = make_client(profile="lab")
    client.put("/admin/faults/f", json={**ERROR, "schedule": {"start_after": "5s", "duration": "3m"}})
    assert client.get("/admin/faults/f/score").status_code == 409
    clock.now += 5
    started = clock.now
    page = next(
        alert
        for alert in client.get("/admin/faults/f/score").json()["alerts"]
        if (alert["slo"], alert["long_window"]) == ("availability", "1m")
    )
    assert page["verdict"] == "to come"
    fired = started + page["forecast"]["firing"]
    clock.now = fired + 0.5
    labels = {name: page[name] for name in ("slo", "severity", "long_window", "short_window")}
    alert = {
        "status": "firing",
        "labels": {"alertname": page["alert"], "service": "shop", **labels},
        "annotations": {},
        "startsAt": datetime.fromtimestamp(fired, UTC).isoformat(),
        "endsAt": "0001-01-01T00:00:00Z",
    }
    sent = {"version": "4", "groupKey": "g", "status": "firing", "receiver": "r", "alerts": [alert]}
    client.post("/hooks/alertmanager", json=sent).raise_for_status()
    clock.now += 60
    verdicts = {
        (each["slo"], each["long_window"]): each["verdict"]
        for each in client.get("/admin/faults/f/score").json()["alerts"]
    }
    assert verdicts["availability", "1m"] == "as forecast"
    assert verdicts["checkout-availability", "1m"] == "missed"
    assert client.get("/admin/faults/g/score").status_code == 404


def test_of_many_concurrent_forecasts_most_are_refused(
    make_client: MakeClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three are accepted, the others get 503 with Retry-After; the kill switch works meanwhile."""
    forecast = Forecaster.forecast
    gate = threading.Event()
    running = [0]
    most = [0]

    def slow(*arguments: Any) -> ForecastResponse:
        running[0] += 1
        most[0] = max(most[0], running[0])
        gate.wait(patience(60))
        running[0] -= 1
        return forecast(*arguments)

    monkeypatch.setattr(Forecaster, "forecast", slow)
    client = make_client()
    paths = ["/admin/forecast", "/admin/faults?forecast=true"]
    with ThreadPoolExecutor(20) as people:
        asked = [people.submit(client.post, paths[number % 2], json=ERROR) for number in range(20)]
        done, _ = wait(asked, timeout=patience(20), return_when=FIRST_COMPLETED)
        deadline = time.monotonic() + patience(20)
        while len(done) < 17 and time.monotonic() < deadline:
            done = {each for each in asked if each.done()}
        killed = client.delete("/admin/faults")
        gate.set()
    answers = [each.result() for each in asked]
    refused = [answer for answer in answers if answer.status_code == 503]
    assert most[0] == 1
    assert len(refused) == 17
    assert {answer.headers["retry-after"] for answer in refused} == {"1"}
    assert {answer.json()["type"] for answer in refused} == {"urn:chaosapi:problem:busy"}
    assert all(answer.is_success for answer in answers if answer not in refused)
    assert killed.status_code == 200


MIXED = {
    "type": "latency",
    "distribution": {
        "type": "mixture",
        "components": 6 * [{"weight": 1, "distribution": {"type": "exponential", "mean": "1s"}}],
    },
}


@pytest.mark.parametrize(
    ("question", "field"),
    [
        ({"monitoring": {"scrape": "1s", "evaluation": "1s", "horizon": "3d"}}, "horizon"),
        (
            {
                "effect": {"type": "error", "status": {str(status): 1 for status in range(400, 420)}},
                "monitoring": {"scrape": "1s", "evaluation": "1s", "horizon": "30h"},
            },
            "effect.status",
        ),
        (
            {"effect": MIXED, "schedule": {"shape": {"type": "sine", "period": "1m", "scales": "magnitude"}}},
            "effect.distribution",
        ),
        ({"schedule": {"duration": "24h", "shape": {"type": "bursts", "on": "4s", "off": "5s"}}}, "horizon"),
    ],
    ids=["steps", "statuses", "mixture", "episodes"],
)
def test_a_too_expensive_forecast_is_refused(make_client: MakeClient, question: dict[str, Any], field: str) -> None:
    """Before it allocates memory, and with a cheaper request to make; no fault is injected."""
    client = make_client(profile="lab")
    answer = client.post("/admin/forecast", json={**ERROR, **question})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    injected = {**ERROR, **{name: question[name] for name in question if name in {"effect", "schedule"}}}
    if "monitoring" not in question and "traffic" not in question:
        assert client.post("/admin/faults?forecast=true", json=injected).status_code == 422
        assert client.get("/admin/faults").json()["faults"] == []


def test_a_score_with_too_many_concurrent_faults_is_refused(make_client: MakeClient, clock: Clock) -> None:
    """All concurrent faults are part of the model: a hundred long faults would take a gigabyte."""
    client = make_client(profile="lab")
    for number in range(100):
        body = {"effect": {"type": "error"}, "schedule": {"duration": "24h"}}
        client.put(f"/admin/faults/f{number}", json=body).raise_for_status()
    clock.now += 60
    answer = client.get("/admin/faults/f0/score")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "faults")
    client.delete("/admin/faults")
    assert client.get("/admin/faults/f0/score").status_code == 200


def test_a_patched_burn_rate_is_converted_for_the_patched_fault(client: TestClient) -> None:
    """The patch also sets a route with half the traffic, so twice the rate is needed."""
    traffic(client, *["/api/products", "/api/search?q=lamp"] * 5)
    client.put("/admin/faults/f", json={"effect": {"type": "error"}, "rate": 0.5}).raise_for_status()
    burn = {"burn_rate": 14.4, "slo": "availability"}
    patched = client.patch("/admin/faults/f", json={"rate": burn, "target": {"routes": ["/api/search"]}}).json()
    assert patched["rate"] == pytest.approx(0.0288, rel=1e-4)
    assert "0.0288" in patched["rate_sum"]
