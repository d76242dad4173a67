import time

from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from prometheus_client import CollectorRegistry

import chaosapi
from chaosapi.settings import Settings
from chaosapi.telemetry.faults import LagGauge
from tests.conftest import Clock
from tests.patience import patience


def series(client: TestClient, start: str) -> dict[str, float]:
    """Return the scraped series whose names have this prefix."""
    lines = (client.get("/metrics").text + client.get("/admin/metrics").text).splitlines()
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines) if name.startswith(start)}


def test_every_series_of_the_shop_exists_before_the_first_request(client: TestClient) -> None:
    """A series that starts with the first burst would lose it, so all of them start at 0."""
    totals = series(client, "http_requests_total")
    for method, handler, success in (
        ("GET", "/api/products", 200),
        ("GET", "/api/products/{product_id}", 200),
        ("GET", "/api/search", 200),
        ("POST", "/api/assistant", 200),
        ("POST", "/api/cart/{cart_id}/items", 201),
        ("POST", "/api/checkout", 201),
        ("GET", "/api/orders/{order_id}", 200),
    ):
        for status in {success, 200, 429, 500, 502, 503, 504, "000"}:
            labels = f'{{handler="{handler}",method="{method}",status="{status}"}}'
            assert totals[f"http_requests_total{labels}"] == 0
    assert len(totals) == 51


def test_the_series_of_a_fault_exist_from_its_creation(client: TestClient) -> None:
    """Each status of a mix, buckets too, on the routes and methods that it targets: the next scrape sees a 0."""
    fault = {
        "effect": {"type": "error", "status": {"418": 1, "599": 1}},
        "target": {"routes": ["/api/products*", "/api/checkout"], "methods": ["GET"]},
        "schedule": {"start_after": "1h"},
    }
    before = series(client, "http_request")
    assert client.post("/admin/faults", json=fault).status_code == 201
    new = {name: value for name, value in series(client, "http_request").items() if name not in before}
    assert set(new.values()) == {0.0}
    for handler in ("/api/products", "/api/products/{product_id}"):
        for status in ("418", "599"):
            rest = f'method="GET",status="{status}"'
            assert f'http_requests_total{{handler="{handler}",{rest}}}' in new
            assert f'http_request_duration_seconds_bucket{{handler="{handler}",le="0.25",{rest}}}' in new
    assert not [name for name in new if "/api/checkout" in name or "POST" in name]


def test_a_route_that_is_added_while_the_app_runs_has_the_series_of_earlier_faults() -> None:
    """In library mode, before the first request to it."""
    app = FastAPI()
    chaosapi.install(app, Settings(access_log=False))
    later = APIRouter()

    @later.get("/later")
    async def read() -> str:
        return "fine"

    with TestClient(app, base_url="http://localhost") as client:
        client.post("/admin/faults", json={"effect": {"type": "error", "status": 418}}).raise_for_status()
        app.include_router(later)
        deadline = time.monotonic() + patience(20)
        while not (found := [name for name in series(client, "http_requests_total") if 'handler="/later"' in name]):
            assert time.monotonic() < deadline
            time.sleep(0.05)
    assert any('status="418"' in name for name in found)
    assert any('status="000"' in name for name in found)


def test_faults_add_only_so_many_series(client: TestClient) -> None:
    """A fault per status would otherwise multiply the series of an app with many routes."""
    for first in range(400, 600, 20):
        mix = {str(status): 1 for status in range(first, first + 20)}
        client.post("/admin/faults", json={"effect": {"type": "error", "status": mix}}).raise_for_status()
    assert 1000 <= len(series(client, "http_requests_total")) <= 1051


def test_injected_failures_are_counted_as_the_user_sees_them(client: TestClient) -> None:
    """With the exact status, the route's template, and the duration."""
    client.post("/admin/faults", json={"effect": {"type": "error", "status": 502}})
    client.get("/api/products/p-0001")
    labels = '{handler="/api/products/{product_id}",method="GET",status="502"}'
    assert series(client, "http_requests_total")[f"http_requests_total{labels}"] == 1
    assert series(client, "http_request_duration")[f"http_request_duration_seconds_count{labels}"] == 1


def test_probes_metrics_docs_admin_and_hooks_are_not_in_the_slis(client: TestClient) -> None:
    """A fault on all routes does not hit them."""
    client.post("/admin/faults", json={"effect": {"type": "error"}})
    paths = ("/healthz", "/readyz", "/metrics", "/docs", "/redoc", "/openapi.json", "/admin/faults", "/admin/alerts")
    before = series(client, "http_request")
    for path in paths:
        assert client.get(path).status_code == 200
    assert series(client, "http_request") == before


def test_unknown_paths_and_methods_add_no_labels(client: TestClient) -> None:
    """They are `none` and `other`, for any paths and methods of a scanner."""
    for number in range(5):
        client.get(f"/wp-admin/{number}")
        client.request(f"BREW{number}", "/api/products")
    new = [name for name, value in series(client, "http_requests_total").items() if value]
    assert len(new) == 2
    assert any('handler="none"' in name for name in new)
    assert any('method="other"' in name for name in new)


def test_fault_metrics_equal_the_receipt(client: TestClient) -> None:
    """Both come from the same counts."""
    client.post("/admin/faults", json={"name": "f", "effect": {"type": "error"}, "rate": 0.5})
    for number in range(100):
        client.get("/api/search?q=oak", headers={"x-request-id": f"r-{number}"})
    receipt = client.get("/admin/faults/f").json()["receipt"]
    scraped = series(client, "chaosapi_fault")
    assert scraped['chaosapi_fault_matched_total{effect="error",fault="f"}'] == receipt["matched"] == 100
    assert scraped['chaosapi_fault_expected_total{effect="error",fault="f"}'] == 50
    assert scraped['chaosapi_fault_injected_total{effect="error",fault="f"}'] == receipt["injected"]
    assert scraped['chaosapi_fault_strength{effect="error",fault="f"}'] == 1
    assert scraped["chaosapi_faults_active"] == 1


def test_planned_and_measured_delays_are_exported(client: TestClient) -> None:
    """Their count and sum; a fault without delays has no such series."""
    client.post("/admin/faults", json={"name": "errors", "effect": {"type": "error"}, "rate": 0.5})
    distribution = {"type": "constant", "value": "10ms"}
    client.post("/admin/faults", json={"name": "slow", "effect": {"type": "latency", "distribution": distribution}})
    for number in range(5):
        client.get("/api/search?q=oak", headers={"x-request-id": f"r-{number}"})
    scraped = series(client, "chaosapi_fault_delay")
    planned, measured = (f'{{effect="latency",fault="slow",kind="{kind}"}}' for kind in ("planned", "measured"))
    assert scraped[f"chaosapi_fault_delays_total{planned}"] == scraped[f"chaosapi_fault_delays_total{measured}"] == 5
    assert scraped[f"chaosapi_fault_delay_seconds_total{planned}"] == 0.05
    assert scraped[f"chaosapi_fault_delay_seconds_total{measured}"] >= 0.05
    assert len(scraped) == 4


def test_the_gauges_of_effects_have_families_before_any_fault(client: TestClient) -> None:
    """A dashboard can query them; the series have the fault as a label."""
    families = {
        line.split()[2]: line.split()[3] for line in client.get("/admin/metrics").text.splitlines() if "# TYPE" in line
    }
    kinds = {"capacity_in_use": "gauge", "capacity_queued": "gauge", "capacity_rejected_total": "counter"}
    assert {f"chaosapi_{name}": kind for name, kind in kinds.items()}.items() <= families.items()
    assert not series(client, "chaosapi_capacity")
    client.post("/admin/faults", json={"name": "c", "effect": {"type": "capacity", "concurrency": 1}})
    assert series(client, "chaosapi_capacity") == {f'chaosapi_{name}{{fault="c"}}': 0 for name in kinds}


def test_the_strength_metric_follows_the_clock(client: TestClient, clock: Clock) -> None:
    """It is 0 after the end, without a call."""
    client.post("/admin/faults", json={"name": "f", "effect": {"type": "error"}, "schedule": {"duration": 60}})
    clock.now += 60
    assert series(client, "chaosapi_fault_strength") == {'chaosapi_fault_strength{effect="error",fault="f"}': 0}
    assert series(client, "chaosapi_faults_active") == {"chaosapi_faults_active": 0}


def test_openmetrics_is_sent_on_request(client: TestClient) -> None:
    """Prometheus 3 requests it; a browser gets plain text."""
    asked = client.get("/metrics", headers={"accept": "application/openmetrics-text;version=1.0.0"})
    assert asked.headers["content-type"].startswith("application/openmetrics-text")
    assert asked.text.endswith("# EOF\n")
    assert client.get("/metrics").headers["content-type"].startswith("text/plain")


def test_a_single_late_tick_is_in_the_next_scrape_only(clock: Clock) -> None:
    """The gauge is the largest lag of the last five seconds."""
    registry = CollectorRegistry()
    gauge = LagGauge(registry, clock)
    gauge.observe(0.4)
    clock.now += 4
    gauge.observe(0.001)
    assert registry.get_sample_value("chaosapi_event_loop_lag_seconds") == 0.4
    clock.now += 4
    assert registry.get_sample_value("chaosapi_event_loop_lag_seconds") == 0.001
