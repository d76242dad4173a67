"""What the panels show of the sources' states, without a browser."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

pytest.importorskip("nicegui", reason="needs NiceGUI, of the extra `console`")

from fastapi.testclient import TestClient
from nicegui import Client, ui
from nicegui.page import page

from chaosapi.clients.admin import AdminClient
from chaosapi.clients.errors import NoAnswerError
from chaosapi.console.access import Session
from chaosapi.console.alertmanager import AlertmanagerState
from chaosapi.console.panels.budgets import describe_end
from chaosapi.console.panels.charts import ChartsPanel
from chaosapi.console.panels.header import Banners, Header
from chaosapi.console.panels.page_context import PageContext
from chaosapi.console.panels.situation import SituationPanel
from chaosapi.console.panels.world import WorldPanel
from chaosapi.console.prometheus import PrometheusState, ScrapedService, ViewCurves
from chaosapi.console.service import ServiceState
from chaosapi.console.signals import ALL, View
from chaosapi.console.slos import BudgetStatus, PairStatus
from chaosapi.console.sources import Addresses, Sources
from chaosapi.overload import Signs
from tests.conftest import Clock

BUSY = "This machine is too busy, do not trust the numbers"


@pytest.fixture
def canvas() -> Iterator[Client]:
    """Yield a page of NiceGUI that no browser shows."""
    with Client(page("/canvas")) as client:
        yield client
    client.delete()


@pytest.fixture
def context(canvas: Client, clock: Clock) -> PageContext:
    """Return the context of a page whose sources have just answered."""
    sources = Sources(Addresses(), "token", clock)
    now = {ALL: {"rate": 20.0, "success": 0.5, "failed": 0.5, "p99": 0.1}}
    curves = {View(): ViewCurves(clock(), {"success": [(0, 0.5)]}, {}, ())}
    budget = BudgetStatus("shop-availability", 0.999, 0.9, None, (), 0.0)
    sources.prometheus.answer = PrometheusState(
        ScrapedService(scrape=1.0), (budget,), (), up=True, curves=curves, now=now
    )
    sources.alertmanager.answer = AlertmanagerState((), ())
    sources.service.answer = ServiceState((), None, 1, (), (), ())
    for feed in (sources.prometheus, sources.alertmanager, sources.service):
        feed.seen = clock()
    return PageContext(sources, Session())


def shown(client: Client) -> list[str]:
    """Return the texts of the visible labels."""
    return [each.text for each in client.elements.values() if isinstance(each, ui.label) and each.visible]


def is_shown(client: Client, part: str) -> bool:
    return any(part in text for text in shown(client))


def test_a_number_does_not_outlive_its_source(context: PageContext, canvas: Client) -> None:
    """The curves stay where they are; the time goes on."""
    panel = ChartsPanel(context)
    panel.update()
    assert "50 %" in shown(canvas)
    context.sources.prometheus.trouble = NoAnswerError("no answer")
    panel.update()
    assert "50 %" not in shown(canvas)
    assert shown(canvas).count("no data") == 6


def test_a_rate_does_not_fall_slowly_when_its_scrapes_end(context: PageContext, canvas: Client) -> None:
    """Its window still has the last scrapes: half of them look like half of the traffic."""
    watch = context.sources.prometheus.answer
    assert watch
    context.sources.prometheus.answer = replace(watch, up=False)
    ChartsPanel(context).update()
    assert shown(canvas).count("no data") == 6
    assert context.rate is None


def test_what_is_wrong_is_unknown_without_one_of_the_sources(context: PageContext, canvas: Client) -> None:
    """No alert of Alertmanager that is down is no good sign."""
    panel = SituationPanel(context, lambda: None)
    panel.update()
    assert is_shown(canvas, "Nothing is wrong: no alert is pending or firing, and the SLO is ok.")
    context.sources.alertmanager.trouble = NoAnswerError("no answer")
    panel.update()
    assert is_shown(canvas, "Unknown, or only a part is known: no data from Alertmanager.")


@pytest.mark.parametrize(("effect", "blamed"), [(None, True), ("cpu", False), ("error", True)])
def test_a_machine_that_is_too_busy_is_said_to_be(
    context: PageContext,
    canvas: Client,
    clock: Clock,
    effect: str | None,
    blamed: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Unless a fault explains it."""
    watch = context.sources.prometheus.answer
    assert watch
    context.sources.prometheus.answer = replace(watch, signs=Signs(loop_lag_s=0.5))
    faults: tuple[dict[str, Any], ...] = ()
    if effect:
        times = {"starts_at": "1970-01-01T00:00:00Z", "ends_at": "2970-01-01T00:00:00Z"}
        faults = ({"effect": {"type": effect}, **times},)
    context.sources.service.answer = ServiceState(faults, None, 1, (), (), ())
    banners = Banners(context)
    banners.update()
    assert is_shown(canvas, BUSY) is blamed


def test_the_badges_know_traffic_without_a_page(context: PageContext, canvas: Client) -> None:
    """A Locust that has never answered is not down."""
    context.sources.locust.trouble = NoAnswerError("no answer")
    header = Header(context, lambda: None, lambda: None)
    header.update()
    assert "Traffic without a page" in shown(canvas)
    assert "Service: up" in shown(canvas)
    context.sources.service.trouble = NoAnswerError("no answer")
    header.update()
    assert "Service: stale" in shown(canvas)


@pytest.mark.parametrize(
    ("burn", "left", "exhausted", "said"),
    [
        (40.0, 0.8, 842.0, "gone in 14m2s at the burn rate over 5s: 40×"),
        (476.0, -0.1, 0.0, "the budget is gone; burn rate over 5s: 476×"),
        (0.0, 0.8, None, "burn rate over 5s: 0×"),
        (None, 0.8, None, "no requests to judge over 5s"),
    ],
)
def test_the_end_of_a_budget_names_the_window_of_its_burn_rate(
    burn: float | None, left: float, exhausted: float | None, said: str
) -> None:
    """The health of the SLO, above, has the largest burn rate over several windows: two numbers, both right."""
    pairs = tuple(PairStatus({"short_window": window}, "inactive", (burn, burn)) for window in ("30s", "5s", "2m"))
    pairs += (PairStatus({"alertname": "EventLoopLag"}, "inactive", (None, None)),)
    assert describe_end(BudgetStatus("shop-availability", 0.999, left, exhausted, pairs, burn)) == said


def test_the_world_and_its_changes_are_shown(context: PageContext, canvas: Client, client: TestClient) -> None:
    """What is outside its safe range too; nothing is shown of a service that is away."""
    admin = AdminClient(client)
    world: Any = admin.change_world({"settings": {"shop_retries": 9}}, note="storm")
    feed: Any = admin.world_changes()["changes"]
    panel = WorldPanel(context)
    panel.update()
    assert is_shown(canvas, "The world is unknown")
    replicas: Any = admin.replicas()["replicas"]
    context.sources.service.answer = ServiceState((), None, 1, (), (), tuple(replicas), world, tuple(feed))
    panel.update()
    assert is_shown(canvas, "shop_retries 9")
    assert is_shown(canvas, "settings.shop_retries: 9 is outside the safe range")
    assert is_shown(canvas, "settings.shop_retries: 2 → 9")
    assert is_shown(canvas, "testclient: storm")
