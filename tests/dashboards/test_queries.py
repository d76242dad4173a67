"""Every query of every dashboard against a real Prometheus that scrapes the real service under traffic and faults."""

import json
import math
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from chaosapi import assets
from tests.loadtests.processes import ENVIRONMENT, answers, free_port, wait_for

pytestmark = pytest.mark.slow

JOB = "chaosapi"
BOARDS = {path.stem: json.loads(path.read_text()) for path in sorted(assets.path("dashboards").glob("*.json"))}
PANELS = [
    pytest.param(target["expr"], target["legendFormat"], id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in board["panels"]
    for target in panel.get("targets", [])
]
ANNOTATIONS = [
    pytest.param(note["target"]["expr"], f"{note['titleFormat']} {note['textFormat']}", id=f"{name}: {note['name']}")
    for name, board in BOARDS.items()
    for note in board["annotations"]["list"]
]
VARIABLES = [
    pytest.param(variable["query"], id=f"{name}: {variable['name']}")
    for name, board in BOARDS.items()
    for variable in board["templating"]["list"]
    if variable["type"] == "query"
]
FAULTS = [
    {"name": "errors", "effect": {"type": "error", "status": 503}, "rate": 0.3},
    {
        "name": "slow",
        "effect": {"type": "latency", "distribution": {"type": "constant", "value": "100ms"}},
        "rate": 0.3,
    },
]


@pytest.fixture(scope="module")
def prometheus(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the URL of a Prometheus that scrapes, each second, a service with traffic and two faults."""
    folder = tmp_path_factory.mktemp("prometheus")
    service, port = free_port(), free_port()
    config = {
        "global": {"scrape_interval": "1s"},
        "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{service}"]}]}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    shop, url = f"http://127.0.0.1:{service}", f"http://127.0.0.1:{port}"
    with ExitStack() as stack:
        python = [sys.executable, "-m"]
        stack.enter_context(running([*python, "chaosapi", "serve", "--host", "127.0.0.1", "--port", str(service)]))
        wait_for(lambda: answers(f"{shop}/readyz"), "the service")
        for fault in FAULTS:
            httpx2.post(f"{shop}/admin/faults", json=fault).raise_for_status()
        locust = [*python, "locust", "-f", str(assets.path("loadtests")), "-H", shop, "--headless", "-u", "30"]
        stack.enter_context(running([*locust, "-r", "30"]))
        files = [f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        stack.enter_context(running([str(tools["prometheus"]), *files, f"--web.listen-address=127.0.0.1:{port}"]))
        wait_for(lambda: answers(f"{url}/-/ready"), "Prometheus")
        yield url


@pytest.mark.parametrize("handlers", [None, ["/api/products"], ["/api/products", "/api/products/{product_id}"]])
@pytest.mark.parametrize(("expr", "legend"), PANELS)
def test_a_panel_shows_data(prometheus: str, expr: str, legend: str, handlers: list[str] | None) -> None:
    """Its query gives numbers whose labels fill the legend, for all routes, for one, and for several."""
    assert "$handler" in expr or "$job" in expr
    result = data(prometheus, expr, handlers)
    numbers = [float(value) for series in result for _, value in series["values"]]
    assert all(math.isfinite(number) for number in numbers)
    wanted = set(re.findall(r"\{\{(\w+)\}\}", legend))
    assert all(set(series["metric"]) == wanted for series in result)
    if "$handler" in expr and "handler" in wanted:
        shown = {series["metric"]["handler"] for series in result}
        assert shown == set(handlers) if handlers else len(shown) > 2


@pytest.mark.parametrize(("expr", "text"), ANNOTATIONS)
def test_an_annotation_marks_the_faults(prometheus: str, expr: str, text: str) -> None:
    """It gives a series for each fault, with the labels that its title and text use."""
    wait_for(lambda: len(query(prometheus, expr)) == len(FAULTS), expr)
    result = query(prometheus, expr)
    assert {series["metric"]["fault"] for series in result} == {fault["name"] for fault in FAULTS}
    assert all(series["metric"][label] for series in result for label in re.findall(r"\{\{(\w+)\}\}", text))


@pytest.mark.parametrize("definition", VARIABLES)
def test_a_variable_offers_values(prometheus: str, definition: str) -> None:
    """Its query gives values to choose from."""
    found = re.fullmatch(r"label_values\((.+), (\w+)\)", definition)
    assert found, definition
    selector, label = substituted(found[1], None), found[2]

    def values() -> list[str]:
        answer = httpx2.get(f"{prometheus}/api/v1/label/{label}/values", params={"match[]": selector})
        return list(answer.raise_for_status().json()["data"])

    wait_for(lambda: bool(values()), definition)
    if label == "handler":
        assert {"/api/products", "/api/checkout"} <= set(values())


def test_numbers_agree_with_the_fault(prometheus: str) -> None:
    """With 30 % of all requests failing, success and 5xx rate add up to 1, and the 5xx rate is in sight of 0.3."""
    exprs = {panel.id: panel.values[0] for panel in PANELS}
    success, failed = (exprs[f"golden-signals: {title}"] for title in ("Success", "5xx"))
    together = data(prometheus, f"({success}) + ({failed})", None)
    assert all(float(value) == pytest.approx(1) for series in together for _, value in series["values"])
    # Over 400 or more requests, 0.15 is more than 6 standard deviations of a binomial share: false alarm < 1e-9.
    counted = 'sum(http_requests_total{job="$job"})'
    wait_for(lambda: last(query(prometheus, counted)) >= 400, "400 requests")
    total = last(query(prometheus, f'sum(http_requests_total{{job="$job", status="503"}}) / {counted}'))
    assert total == pytest.approx(0.3, abs=0.15)


def data(url: str, expr: str, handlers: Sequence[str] | None) -> list[dict[str, Any]]:
    """Return the query's series as soon as there are some; each route that was asked for must have had traffic."""
    wait_for(lambda: len(query(url, expr, handlers)) >= shown_at_least(expr, handlers), expr)
    return query(url, expr, handlers)


def shown_at_least(expr: str, handlers: Sequence[str] | None) -> int:
    """Return how many series there are once every route has had traffic."""
    return (len(handlers) if handlers else 3) if "by (handler)" in expr or "by (le, handler)" in expr else 1


def query(url: str, expr: str, handlers: Sequence[str] | None = None) -> list[dict[str, Any]]:
    """Run a query over the last ten seconds, as Grafana would for a panel."""
    now = time.time()
    span = {"query": substituted(expr, handlers), "start": str(now - 10), "end": str(now), "step": "1"}
    answer = httpx2.post(f"{url}/api/v1/query_range", data=span)
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"]["result"])


def last(result: list[dict[str, Any]]) -> float:
    """Return the last value of the first series, 0 without one."""
    return float(result[0]["values"][-1][1]) if result else 0.0


def substituted(expr: str, handlers: Sequence[str] | None) -> str:
    """Put the variables' values in as Grafana does.

    A variable of many values becomes a regular expression, whose backslashes PromQL's string needs doubled; one of 4
    scrapes is the shortest $__rate_interval (https://grafana.com/docs/grafana/latest/datasources/prometheus/).
    """
    escaped = [re.sub(r"[$^*{}\[\]'+?.()|\\]", r"\\\\\g<0>", handler) for handler in handlers or []]
    choice = ".+" if not escaped else escaped[0] if len(escaped) == 1 else f"({'|'.join(escaped)})"
    return expr.replace("$__rate_interval", "4s").replace("$job", JOB).replace("$handler", choice)


@contextmanager
def running(command: Sequence[str]) -> Iterator[None]:
    """Run a program as long as the block lasts."""
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)
