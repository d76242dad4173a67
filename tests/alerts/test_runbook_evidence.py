"""The queries of the runbooks in a real Prometheus, under the faults that the runbooks are about.

All faults act at once, each on a route, a dependency or the process of its own, so that one start serves all pages.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.alerts.test_runbooks import PAGES, queries
from tests.dashboards.live import Live, Prometheus, live

pytestmark = pytest.mark.slow

FAULTS: tuple[dict[str, Any], ...] = (
    {
        "name": "slow-db",
        "effect": {"type": "latency", "distribution": {"type": "constant", "value": "400ms"}},
        "target": {"points": ["db"], "routes": ["/api/products"]},
    },
    {
        "name": "failing-payments",
        "effect": {"type": "error", "status": 503},
        "rate": 0.9,
        "target": {"points": ["payments"]},
    },
    {
        "name": "full",
        "effect": {
            "type": "capacity",
            "concurrency": 1,
            "queue": 2,
            "service_time": {"type": "constant", "value": "500ms"},
        },
        "target": {"routes": ["/api/products/{product_id}"]},
    },
    {
        "name": "narrow-pool",
        "effect": {
            "type": "capacity",
            "concurrency": 1,
            "queue": 1,
            "service_time": {"type": "constant", "value": "900ms"},
        },
        "target": {"points": ["search-index"]},
    },
    {"name": "late", "effect": {"type": "pause", "pause": "150ms", "every": "1s"}},
)


@pytest.fixture(scope="module")
def prometheus(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Yield a Prometheus that scrapes the shop under load and all faults."""
    with live({"lab": tools["prometheus"]}, tmp_path_factory.mktemp("evidence"), FAULTS) as running:
        yield _only(running)


def _only(running: Live) -> Prometheus:
    (prometheus,) = running.prometheus.values()
    return prometheus


def values(prometheus: Prometheus, expr: str, label: str) -> dict[str, float]:
    """Return the last value of each series by a label, once the query returns any."""
    return {series["metric"].get(label, ""): float(series["values"][-1][1]) for series in prometheus.first(expr)}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_query_of_a_runbook_returns_something(prometheus: Prometheus, page: Path) -> None:
    """A query that returns nothing under the fault that it asks about teaches its reader to guess."""
    for query in queries(page.read_text()):
        found = prometheus.first(query)
        assert all(math.isfinite(float(value)) for series in found for _, value in series["values"]), query


def test_a_dependency_that_is_slow_within_its_time_out_is_found(prometheus: Prometheus) -> None:
    """400 ms of the second that the shop waits."""
    page = next(page for page in PAGES if page.stem == "HighLatency")
    (asked,) = (
        query
        for query in queries(page.read_text())
        if 'request_duration_seconds_bucket{job="chaosapi", outcome' in query
    )
    slow = values(prometheus, asked, "dependency")
    assert 0.25 < slow["db"] < 1
    assert max(slow, key=slow.__getitem__) in {"db", "search-index"}


def test_a_failing_dependency_is_found_with_its_outcome(prometheus: Prometheus) -> None:
    """`payments` fails and is not slow; retries and the breaker show what the shop does about it."""
    asked = 'sum by (dependency) (chaosapi_dependency_request_duration_seconds_count{job="chaosapi", outcome="%s"}) > 0'
    assert "payments" in values(prometheus, asked % "error", "dependency")


def test_a_full_route_and_a_full_pool_are_told_apart(prometheus: Prometheus) -> None:
    """One is refused in front of the service, the other by the pool of its dependency."""
    refused = 'sum by (%s) (chaosapi_%s_rejected_total{job="chaosapi"}) > 0'
    assert values(prometheus, refused % ("handler", "queue"), "handler").keys() == {"/api/products/{product_id}"}
    assert values(prometheus, refused % ("dependency", "pool"), "dependency").keys() == {"search-index"}
