"""Three services of four workers each on a real Redis, scraped by a real Prometheus: twelve consistent replicas."""

import math
import subprocess
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
import yaml

from chaosapi.clients.prometheus import PrometheusClient
from chaosapi.lab.prometheus import command
from tests.lab.conftest import free_ports
from tests.patience import patience, until
from tests.planes import Planes, started
from tests.store.conftest import running

pytestmark = pytest.mark.slow

WORKERS = 4
SERVICES = 3
REPLICAS = WORKERS * SERVICES
CLIENTS = 4
"""The workers of each service."""
REQUESTS = 9600
RATE = 0.05
FAULT = {"name": "f", "effect": {"type": "error"}, "rate": RATE}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Planes]]:
    """Yield three services on one Redis, once all workers are listed."""
    folder = tmp_path_factory.mktemp("fleet")
    with ExitStack() as stack:
        url = stack.enter_context(running(folder)).url
        settings = {"CHAOSAPI_STORE": url, "CHAOSAPI_WORKERS": str(WORKERS)}
        fleet = [
            stack.enter_context(started(folder / f"service-{number}.log", apart=False, **settings))
            for number in range(SERVICES)
        ]
        known = f"{fleet[0].admin}/admin/replicas"
        until(lambda: len(httpx2.get(known).raise_for_status().json()["replicas"]) == REPLICAS, 60)
        yield fleet


@pytest.fixture(scope="module")
def prometheus(
    fleet: list[Planes], tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[PrometheusClient]:
    """Yield a Prometheus that scrapes the three services every half second."""
    folder = tmp_path_factory.mktemp("prometheus")
    targets = [urlsplit(planes.users).netloc for planes in fleet]
    scrape = {"job_name": "fleet", "scrape_interval": "500ms", "scrape_timeout": "500ms"}
    users = {**scrape, "static_configs": [{"targets": targets}]}
    truth = {**users, "job_name": "fleet-truth", "metrics_path": "/admin/metrics"}
    config = {"scrape_configs": [users, truth]}
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    port = free_ports()[0]
    arguments = {"config_file": folder / "prometheus.yml", "data": folder / "data", "listen": f"127.0.0.1:{port}"}
    with (folder / "log").open("wb") as log:
        program = subprocess.Popen(command(tools["prometheus"], **arguments), stdout=log, stderr=log)  # type: ignore[arg-type]
    try:
        with PrometheusClient(f"http://127.0.0.1:{port}", timeout_s=patience(30)) as prometheus:
            until(prometheus.is_ready, 60)
            yield prometheus
    finally:
        program.terminate()
        program.wait(patience(30))


def visit(planes: Planes, first: int, last: int) -> Counter[int]:
    """Send requests with these ids over several connections; count the statuses."""
    statuses: Counter[int] = Counter()
    with httpx2.Client(base_url=planes.users, timeout=patience(30)) as client:
        for number in range(first, last):
            headers = {"x-request-id": f"r-{number}", **({"connection": "close"} if number % 20 == 0 else {})}
            statuses[client.get("/api/products", headers=headers).status_code] += 1
    return statuses


def test_a_post_is_applied_by_twelve_of_twelve_replicas(fleet: list[Planes]) -> None:
    """The response says so, and every worker is listed with that revision."""
    for planes in fleet:
        answer = httpx2.put(f"{planes.admin}/admin/faults/g?wait=30s", json={"effect": {"type": "hang"}, "rate": 0.1})
        assert answer.raise_for_status().json()["receipt"]["replicas"] == {"applied": REPLICAS, "known": REPLICAS}
        revision = answer.json()["revision"]
        shown = httpx2.get(f"{planes.admin}/admin/replicas").json()["replicas"]
        assert {each["revision"] for each in shown} == {revision}
        ended = httpx2.delete(f"{planes.admin}/admin/faults?wait=30s").raise_for_status().json()
        assert ended["replicas"] == {"applied": REPLICAS, "known": REPLICAS}


def test_client_receipt_and_prometheus_count_the_same(fleet: list[Planes], prometheus: PrometheusClient) -> None:
    """Exactly, after traffic has stopped. The request ids are fixed, so the hits are fixed: no false alarm."""
    httpx2.post(f"{fleet[0].admin}/admin/faults?wait=30s", json=FAULT).raise_for_status()
    clients = SERVICES * CLIENTS
    part = REQUESTS // clients
    with ThreadPoolExecutor(clients) as pool:
        parts = pool.map(lambda n: visit(fleet[n % SERVICES], n * part, (n + 1) * part), range(clients))
        statuses = sum(parts, Counter[int]())
    failed = statuses[503]
    assert statuses == {200: REQUESTS - failed, 503: failed}
    assert abs(failed - RATE * REQUESTS) <= 5 * math.sqrt(REQUESTS * RATE * (1 - RATE))
    receipt = httpx2.delete(f"{fleet[1].admin}/admin/faults/f?wait=30s").raise_for_status().json()["receipt"]
    expected = {
        "sum(chaosapi_fault_matched_total)": REQUESTS,
        "sum(chaosapi_fault_injected_total)": failed,
        'sum(http_requests_total{handler="/api/products"})': REQUESTS,
        'sum(http_requests_total{status="503"})': failed,
        'sum(http_request_duration_seconds_count{status="503"})': failed,
    }
    until(lambda: {query: prometheus.value(query) for query in expected} == expected, 60)
    assert (receipt["matched"], receipt["injected"]) == (REQUESTS, failed)
    assert receipt["replicas"] == {"applied": REPLICAS, "known": REPLICAS}
    for planes in fleet:
        told = httpx2.get(f"{planes.admin}/admin/metrics").text
        assert f'chaosapi_fault_matched_total{{effect="error",fault="f"}} {CLIENTS * part}.0\n' in told
