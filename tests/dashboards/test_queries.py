"""Every query of every dashboard in real Prometheus, of two versions, under traffic and faults."""

import contextlib
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from chaosapi import assets
from chaosapi.lab import debian
from chaosapi.lab import tools as lab_tools
from chaosapi.lab.errors import ToolMissingError
from tests.dashboards import boards, public
from tests.dashboards.boards import BOARDS, substituted, unknown, uses, written
from tests.dashboards.live import FAULTS, Live, Prometheus, live
from tests.loadtests.processes import wait_for

pytestmark = pytest.mark.slow

NEWEST, DISTRIBUTION = "lab", "production"  # which profile's rules the two versions of Prometheus evaluate
SHORTEST = {"lab": "5s", "production": "5m"}
ROUTES = [(), ("/api/products",), ("/api/products", "/api/products/{product_id}")]
PANELS = [
    pytest.param(panel, id=f"{name}: {panel['title']}")
    for name, board in BOARDS.items()
    for panel in boards.panels(board)
]
ANNOTATIONS = [
    pytest.param(note, id=f"{name}: {note['name']}")
    for name, board in BOARDS.items()
    for note in boards.annotations(board)
]
ROOT = Path(__file__).parents[2]
DOCS = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md")), *sorted(ROOT.glob("alerts/runbooks/*.md"))]
UNSHOWN = {
    "process_start_time_seconds": "a restart shows as a gap and falling counters",
    "process_open_fds": "the soak test watches them; a learner is not meant to",
    "process_max_fds": "a setting of the machine",
    "chaosapi_log_lines_dropped": "about the log of the service, not about its users; docs/security.md names it",
    "chaosapi_shop_calls": "the durations of the calls count them too, those of an app's own points included",
    "shop_payment_fees_cents": "money; the order of each payment shows its fee",
    "chaosapi_shop_breaker_open": "chaosapi_shop_breaker_state says more",
    "process_virtual_memory_bytes": "resident memory is what counts",
    "python_gc_collections": "Python's own, useful to its developers",
    "python_gc_objects_collected": "Python's own, useful to its developers",
    "python_gc_objects_uncollectable": "Python's own, useful to its developers",
    "python_info": "a label of the installation",
}


@pytest.fixture(scope="module")
def world(tools: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """Yield the stack: the newest Prometheus with the lab's rules, the distribution's with production's."""
    programs = {NEWEST: tools["prometheus"]}
    folder = lab_tools.tools_folder() / "system"
    sources = (("this system's package", debian.fetch_running),)
    with contextlib.suppress(ToolMissingError):
        programs[DISTRIBUTION] = lab_tools.ensure_programs("prometheus", folder=folder, sources=sources)["prometheus"]
    with live(programs, tmp_path_factory.mktemp("live")) as running:
        yield running


@pytest.fixture(params=[NEWEST, DISTRIBUTION])
def profile(request: pytest.FixtureRequest) -> str:
    """Return the profile of the Prometheus under test."""
    return str(request.param)


@pytest.fixture
def prometheus(world: Live, profile: str) -> Prometheus:
    """Return the Prometheus of the profile."""
    if profile not in world.prometheus:
        pytest.skip("this system has no package of Prometheus")
    return world.prometheus[profile]


def test_two_major_versions_are_tested(world: Live) -> None:
    """The queries below work in both, if the distribution's is another major version."""
    addresses = [f"{each.url}/api/v1/status/buildinfo" for each in world.prometheus.values()]
    majors = {
        httpx2.get(address).raise_for_status().json()["data"]["version"].partition(".")[0] for address in addresses
    }
    if majors == {"3"}:
        pytest.skip("there is no Prometheus 2 among this system's packages")
    assert majors == {"2", "3"}


@pytest.mark.parametrize("panel", PANELS)
def test_a_panel_shows_data(prometheus: Prometheus, panel: dict[str, Any]) -> None:
    """Its queries give numbers, and series that the legend tells apart: for all routes, for one, and for several."""
    for target in panel["targets"]:
        for handlers in ROUTES if "$handler" in target["expr"] else ROUTES[:1]:
            expr = substituted(target["expr"], handlers=handlers)
            wanted = re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])
            expected = (len(handlers) or 3) if "handler" in wanted and "$handler" in target["expr"] else 1
            every = (
                wanted if panel["type"] != "stat" else wanted[:1]
            )  # a name of now: an alert need not have all labels
            result = prometheus.first(expr, expected, every)
            assert all(math.isfinite(float(value)) for series in result for _, value in series["values"])
            legends = [tuple(series["metric"].get(label, "") for label in wanted) for series in result]
            assert len(set(legends)) == len(legends), legends
            if handlers and "handler" in wanted:
                assert {series["metric"]["handler"] for series in result} == set(handlers)


@pytest.mark.parametrize("note", ANNOTATIONS)
def test_an_annotation_has_series(prometheus: Prometheus, note: dict[str, Any]) -> None:
    """It gives a series for each fault, or for each SLO that pages, with the labels that its title and text use."""
    expected = {"Faults": len(FAULTS), "Pages": 2}[note["name"]]
    labels = re.findall(r"\{\{(\w+)\}\}", note["titleFormat"] + note["textFormat"])
    prometheus.first(substituted(note["expr"]), expected, labels)


def test_variables_offer_values(prometheus: Prometheus) -> None:
    """Services, routes, load tests and SLOs to choose from."""
    offered = {
        where.partition("$")[2]: {series["metric"].popitem()[1] for series in prometheus.first(expr)}
        for where, expr in boards.queries()
        if "$" in where
    }
    assert offered.keys() == {"job", "instance", "handler", "load", "slo"}
    assert offered["job"] == {"chaosapi"}
    assert offered["load"] == {"loadtest"}
    assert {"/api/products", "/api/checkout"} <= offered["handler"]
    assert offered["slo"] == {"shop-availability", "shop-checkout-availability", "shop-latency"}


@pytest.mark.parametrize("expr", [pytest.param(expr, id=f"Sloth: {name}") for name, expr in public.SLOTH.items()])
def test_a_sloth_dashboard_shows_data(prometheus: Prometheus, profile: str, expr: str) -> None:
    """In both profiles: the window is one that the rules record."""
    prometheus.first(expr.replace("$window", SHORTEST[profile]))


@pytest.mark.parametrize("expr", [pytest.param(expr, id=f"FastAPI: {name}") for name, expr in public.FASTAPI.items()])
def test_a_public_fastapi_dashboard_shows_data(prometheus: Prometheus, expr: str) -> None:
    """As with prometheus-fastapi-instrumentator, statuses not grouped."""
    assert all(math.isfinite(float(series["values"][-1][1])) for series in prometheus.first(expr))


def test_every_metric_and_label_that_a_dashboard_names_exists(prometheus: Prometheus) -> None:
    """In panels, annotations and variables."""
    check(prometheus, (expr for _, expr in boards.queries()))


def test_every_metric_and_label_that_the_rules_name_exists(prometheus: Prometheus, profile: str) -> None:
    """In recording rules and alerts of the profile."""
    groups = yaml.safe_load((assets.path("alerts") / "rules" / f"{profile}.yml").read_text())["groups"]
    check(prometheus, (rule["expr"] for group in groups for rule in group["rules"]))


@pytest.mark.parametrize("page", DOCS, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_metric_and_label_that_the_docs_name_exists(world: Live, page: Path) -> None:
    """In code blocks and code spans that are PromQL."""
    check(world.prometheus[NEWEST], written(page.read_text()))


def test_metrics_without_a_panel_are_listed_with_a_reason(world: Live) -> None:
    """No metric is exported without a use, and none is forgotten."""
    shown = {metric for _, expr in boards.queries() for metric in uses(expr)}
    families = {
        family
        for url in world.pages.values()
        for family in re.findall(r"^# TYPE (\w+?)(?:_total)? ", httpx2.get(url).raise_for_status().text, re.MULTILINE)
    }
    unshown = {family for family in families if not any(metric.startswith(family) for metric in shown)}
    assert unshown == set(UNSHOWN)


def test_numbers_agree_with_the_faults(prometheus: Prometheus) -> None:
    """Success and 5xx add up to 1, and the achieved rate of `errors` is near the requested 0.3."""
    exprs = {
        (name, panel["title"]): panel["targets"][0]["expr"]
        for name, board in BOARDS.items()
        for panel in board["panels"]
        if panel["type"] != "row"
    }
    success, failed = (substituted(exprs["golden-signals", title]) for title in ("Success rate", "5xx error rate"))
    together = prometheus.first(f"({success}) + ({failed})")
    assert all(float(value) == pytest.approx(1) for series in together for _, value in series["values"])
    # Over 400 or more requests, 0.15 is more than 6 standard deviations of a binomial share: false alarm < 1e-9.
    matched, injected = (
        f'chaosapi_fault_{count}_total{{job="chaosapi", fault="errors"}}' for count in ("matched", "injected")
    )
    prometheus.first(f"{matched} >= 400")
    (achieved,) = prometheus.first(f"{injected} / ({matched} >= 400)")
    assert float(achieved["values"][-1][1]) == pytest.approx(0.3, abs=0.15)


def check(prometheus: Prometheus, exprs: Iterable[str]) -> None:
    """Fail unless every metric that the queries read is there, with every label that is asked of it."""
    asked = list(exprs)
    complaints = ["not asked yet"]

    def content() -> bool:
        catalogue = prometheus.catalogue()
        complaints[:] = [each for expr in asked for each in unknown(expr, catalogue)]
        return not complaints

    with contextlib.suppress(AssertionError):  # the last complaints say more than that time was up
        wait_for(content, "metrics and labels")
    assert complaints == []
