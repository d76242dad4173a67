"""The app's own prometheus-client metrics and chaosapi's, in one scrape."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text
from prometheus_client.registry import Collector
from starlette.applications import Starlette

import chaosapi
from chaosapi.settings import Settings
from chaosapi.telemetry.app_metrics import AppMetrics
from tests.captured import captured

QUIET = Settings(access_log=False)
OPENMETRICS = {"accept": "application/openmetrics-text;version=1.0.0"}


@pytest.fixture
def registry() -> Iterator[CollectorRegistry]:
    """Yield the default registry; unregister the collectors of a test."""
    added: list[Collector] = []

    class Default(CollectorRegistry):
        def register(self, collector: Collector) -> None:
            REGISTRY.register(collector)
            added.append(collector)

    yield Default()
    for collector in added:
        REGISTRY.unregister(collector)


def scrape(registry: Collector | None = None, accept: dict[str, str] | None = None) -> str:
    """Return the metrics of an app with chaosapi installed."""
    app = FastAPI()
    chaosapi.install(app, QUIET, registry=registry)
    with TestClient(app, base_url="http://localhost") as client:
        answer = client.get("/metrics", headers=accept or {})
        assert answer.status_code == 200
        return answer.text


def test_metrics_of_the_default_registry_are_shown(registry: CollectorRegistry) -> None:
    """In both formats; prometheus-client's own collectors appear once."""
    Counter("orders", "Orders.", registry=registry).inc(3)
    Histogram("order_seconds", "Seconds.", registry=registry).observe(1)
    for text, parse in ((scrape(), parse_text), (scrape(accept=OPENMETRICS), parse_openmetrics)):
        assert "\norders_total 3.0\n" in text
        names = [family.name for family in parse(text)]
        assert {"orders", "order_seconds", "http_requests", "process_cpu_seconds"} <= set(names)
        assert len(names) == len(set(names))


def test_metrics_of_a_raw_app_and_of_a_given_registry_are_shown(registry: CollectorRegistry) -> None:
    """Those of the default registry are not shown then."""
    Counter("left_out", "In the default registry.", registry=registry)
    given = CollectorRegistry()
    Gauge("depth", "How deep.", registry=given).set(7)
    assert "\ndepth 7.0\n" in scrape(given)
    assert "left_out" not in scrape(given)
    app = chaosapi.ChaosMiddleware(Starlette(), settings=QUIET, registry=given)
    with TestClient(app, base_url="http://localhost") as client:
        assert "\ndepth 7.0\n" in client.get("/metrics").text


def test_of_two_metrics_of_one_name_chaosapis_is_shown_and_a_warning_logged_once(registry: CollectorRegistry) -> None:
    """The SLO rules query it; also if the names differ and those of the samples do not."""
    Counter("http_requests", "By an instrumentator.", ["handler"], registry=registry).labels("/a").inc()
    Gauge("http_requests_inprogress_other", "Fine.", registry=registry)
    Gauge("chaosapi_dependency_retries_total", "A gauge.", registry=registry)
    app = FastAPI()
    chaosapi.install(app, QUIET)
    with captured() as lines, TestClient(app, base_url="http://localhost") as client:
        for _ in range(2):
            text = client.get("/metrics").text
    assert len(re.findall("^# TYPE http_requests_total counter$", text, re.MULTILINE)) == 1
    assert 'http_requests_total{handler="/a"} 1.0' not in text
    assert "http_requests_inprogress_other" in text
    assert [line["subject"] for line in lines if "not shown" in line["event"]] == [
        "http_requests",
        "chaosapi_dependency_retries_total",
    ]


class Raising(Collector):
    """A collector that raises."""

    def collect(self) -> Iterator[Metric]:
        raise ValueError("no connection")


class Malformed(Collector):
    """A collector with an invalid value."""

    def collect(self) -> Iterator[Metric]:
        metric = Metric("malformed", "A value that is no number.", "gauge")
        metric.add_sample("malformed", {}, None)  # type: ignore[arg-type]
        yield metric


@pytest.mark.parametrize("collector", [Raising, Malformed])
def test_a_failing_collector_hides_no_other_metric(collector: type[Collector]) -> None:
    """An alert must not resolve because its data source failed."""
    given = CollectorRegistry(auto_describe=False)
    given.register(collector())
    with captured() as lines:
        assert "http_requests_total" in scrape(given)
    assert "the app's metrics are not shown" in [line["event"] for line in lines]


PROGRAM = """
from fastapi import FastAPI
from fastapi.testclient import TestClient
from prometheus_client import Counter
import chaosapi, os, sys
from chaosapi.settings import Settings
from chaosapi.telemetry.app_metrics import AppMetrics
Counter("orders", "Orders.").inc(float(sys.argv[1]))
app = FastAPI()
chaosapi.install(app, Settings(access_log=False))
with TestClient(app, base_url="http://localhost") as client:
    print(client.get("/metrics").text)
"""


def test_multiprocess_metrics_of_the_app_are_summed(tmp_path: Path) -> None:
    """With PROMETHEUS_MULTIPROC_DIR, as in prometheus-client."""
    for more, total in (3, 3), (4, 7):
        command = [sys.executable, "-c", PROGRAM, str(more)]
        environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert f"\norders_total {total}.0\n" in done.stdout
        assert "# TYPE http_requests_total counter" in done.stdout


def test_metrics_of_one_of_several_workers_are_not_shown(
    registry: CollectorRegistry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each scrape would show another worker's; the log has the remedy."""
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    Counter("orders", "Orders.", registry=registry).inc(3)
    with captured() as entries:
        shown = list(AppMetrics(CollectorRegistry(), several=True).collect())
    assert shown == []
    assert [(each["subject"], "PROMETHEUS_MULTIPROC_DIR" in each["event"]) for each in entries] == [("orders", True)]
    given = CollectorRegistry()
    Gauge("stock", "Stock.", registry=given)
    assert [family.name for family in AppMetrics(CollectorRegistry(), given, several=True).collect()] == ["stock"]
