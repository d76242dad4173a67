import json
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Serve
from tests.loadtests.processes import LOADTESTS, free_port, locust
from tests.loadtests.shop import Shop, opened

pytestmark = pytest.mark.slow

TEMPLATES = {
    "GET /api/products",
    "GET /api/products/{product_id}",
    "GET /api/search",
    "POST /api/cart/{cart_id}/items",
    "POST /api/checkout",
    "GET /api/orders/{order_id}",
}


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Give a shop that remembers its visitors."""
    with opened() as server:
        yield server


@pytest.fixture
def service(serve: Serve) -> str:
    """Give the URL of the real service, in a process of its own."""
    return serve()


def test_steady_holds_its_rate(service: str, tmp_path: Path) -> None:
    """Each user makes one request a second, so their number over the time between first and last is the rate."""
    run = locust("--scenario", "steady", "--rate", "40", "--duration", "6s", host=service, stats=tmp_path / "s")
    assert run.returncode == 0, run.stderr
    entries = statistics(tmp_path / "s.json")
    count = sum(entry["num_requests"] for entry in entries)
    elapsed = max(e["last_request_timestamp"] for e in entries) - min(e["start_time"] for e in entries)
    assert count == pytest.approx(40 * elapsed, abs=40 * 1.5)  # at either end a user may have just made one, or not
    assert {f"{entry['method']} {entry['name']}" for entry in entries} <= TEMPLATES
    assert sum(entry["num_failures"] for entry in entries) == 0


def test_spike_has_a_peak(service: str, tmp_path: Path) -> None:
    """Most of a spike's requests fall into few full seconds; the environment chooses, from any folder, by file."""
    run = locust(
        *("--rate", "5", "--peak", "40", "--duration", "6s"),
        file=LOADTESTS / "locustfile.py",
        folder=tmp_path,
        host=service,
        stats=tmp_path / "s",
        CHAOSAPI_SCENARIO="spike",
    )
    assert run.returncode == 0, run.stderr
    seconds: Counter[str] = Counter()
    for entry in statistics(tmp_path / "s.json"):
        seconds.update(entry["num_reqs_per_sec"])
    full = [count for count in seconds.values() if count > (5 + 40) / 2]
    assert 1 <= len(full) <= 3 <= len(seconds) - len(full)
    assert sum(full) > seconds.total() / 2


def test_leaving_users_wait_for_their_answers(service: str, tmp_path: Path) -> None:
    """When a spike ends, requests under way are finished: client and service count the same, and no failures."""
    before = served(service)
    slow = {"type": "latency", "distribution": {"type": "constant", "value": "700ms"}}
    with fault(service, slow):
        spike = ("--scenario", "spike", "--rate", "5", "--peak", "40", "--duration", "6s")
        run = locust(*spike, host=service, stats=tmp_path / "s")
    assert run.returncode == 0, run.stderr
    assert sum(entry["num_requests"] for entry in statistics(tmp_path / "s.json")) == served(service) - before


def test_without_a_scenario_users_rate_and_time_are_locusts(shop: Shop) -> None:
    """-u, -r and -t mean what they always mean when no scenario is chosen."""
    run = locust("-u", "7", "-r", "7", "-t", "3s", host=shop.url)
    assert run.returncode == 0, run.stderr
    assert "Ramping to 7 users at a rate of 7.00" in run.stderr
    assert "Run time limit set to 3 seconds" in run.stderr
    assert len({headers["x-user-id"] for headers in shop.headers}) == 7


def test_requests_and_users_carry_ids(shop: Shop) -> None:
    """Every request has an x-request-id of its own, and the requests of a user its x-user-id."""
    locust("--scenario", "steady", "--rate", "10", "--duration", "3s", host=shop.url)
    assert len({headers["x-request-id"] for headers in shop.headers}) == len(shop.headers) > 10
    assert len({headers["x-user-id"] for headers in shop.headers}) == 10


def test_two_processes_share_the_rate(shop: Shop) -> None:
    """With --processes the workers' users together are the scenario's, none twice."""
    port = str(free_port())
    run = locust(
        *("--scenario", "steady", "--rate", "20", "--duration", "4s", "--processes", "2"),
        *("--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port),
        host=shop.url,
    )
    assert run.returncode == 0, run.stderr
    assert run.stderr.count('"ShopUser": 20') == 1
    assert len({headers["x-user-id"] for headers in shop.headers}) == 20


def test_injected_failures_can_end_well(service: str, tmp_path: Path) -> None:
    """Failures are counted; --exit-code-on-error decides whether they make Locust fail."""
    with fault(service, {"type": "error", "status": 503}):
        run = locust("-u", "5", "-t", "2s", "--exit-code-on-error", "0", host=service, stats=tmp_path / "s")
    assert run.returncode == 0, run.stderr
    entries = statistics(tmp_path / "s.json")
    assert sum(e["num_failures"] for e in entries) == sum(e["num_requests"] for e in entries) > 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("--scenario nope", "there is no scenario 'nope'; choose one of\n  none: -u, -r and -t decide"),
        ("--scenario spike --rate 200", "the peak is 100 requests/s; it must be above the rate, 200"),
        ("--scenario steady --duration soon", "the duration 'soon' is no time such as 90s, 3m or 1h30m"),
        ("--scenario steady -u 5", "give --rate and --duration instead of -u, -r, -t"),
    ],
)
def test_a_wrong_choice_ends_at_once(arguments: str, message: str) -> None:
    """A wrong option is named with what would be right, and no request is made."""
    run = locust(*arguments.split())
    assert run.returncode == 2
    assert message in run.stderr
    assert "Ramping" not in run.stderr


def test_help_tells_the_scenarios() -> None:
    """--scenario-help explains the scenarios and their options."""
    run = locust("--scenario-help")
    assert run.returncode == 0
    assert all(word in run.stdout for word in ("steady:", "spike:", "--rate", "--peak", "--duration"))


def statistics(path: Path) -> list[dict[str, Any]]:
    """Read Locust's statistics, one entry for each name."""
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return entries


@contextmanager
def fault(service: str, effect: dict[str, Any]) -> Iterator[None]:
    """Let every request to the shop have the effect as long as the block lasts."""
    body = {"name": "all", "effect": effect, "schedule": {"duration": "1m"}}
    httpx2.post(f"{service}/admin/faults", json=body).raise_for_status()
    try:
        yield
    finally:
        httpx2.delete(f"{service}/admin/faults/all").raise_for_status()


def served(service: str) -> float:
    """Return how many requests the service has counted."""
    families = text_string_to_metric_families(httpx2.get(f"{service}/metrics").text)
    return sum(s.value for family in families for s in family.samples if s.name == "http_requests_total")
