"""The curves and the present values of the charts."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chaosapi.clients.prometheus import AsyncPrometheusClient
from chaosapi.console.panels.charts import legend, shades
from chaosapi.console.prometheus import PrometheusWatcher
from chaosapi.console.signals import (
    ALL,
    CHARTS,
    View,
    acting_spans,
    alerts_query,
    format_value,
    headline,
    query,
    spans,
    values,
    with_gaps,
)
from chaosapi.console.zones import Zone
from tests.conftest import Clock
from tests.console.test_sources import EMPTY, client

BY_TITLE = {chart.title: chart for chart in CHARTS}


def test_missing_samples_are_a_gap() -> None:
    """A chart would join their neighbours by a straight line; a sample alone is drawn as a short dash."""
    curve = [(0, 1.0), (2000, 1.0), (10_000, 3.0), (20_000, None), (22_000, 2.0), (24_000, 2.0)]
    assert with_gaps(curve, 2) == [
        (0, 1.0),
        (2000, 1.0),
        (9999, None),
        (10_000, 3.0),
        (10_500, 3.0),
        (21_999, None),
        (22_000, 2.0),
        (24_000, 2.0),
    ]
    assert with_gaps([], 2) == []


def test_no_gauge_outlives_its_scrapes() -> None:
    """A plain selector would repeat the last value for five minutes."""
    for gauge in ("http_requests_inprogress", "chaosapi_event_loop_lag_seconds"):
        assert f"last_over_time({gauge}{{" in query("shop", 1, ALL, 2)


def test_what_lasts_less_than_a_step_is_seen() -> None:
    """In a chart of six hours two points are 144 s apart."""
    assert "max_over_time(chaosapi_fault_strength" in query("shop", 1, ALL, 144)
    assert alerts_query(1, 144) == "max_over_time(ALERTS[144s])"
    assert alerts_query(15, 2) == "ALERTS"


@pytest.mark.parametrize(
    ("title", "now", "shown"),
    [
        ("Success", {"rate": 20.0, "success": 0.998}, "99.80 %"),
        ("Success", {"rate": 0.0}, "no traffic"),
        ("Success", {}, "no data"),
        ("Success", None, "no data"),
        ("Latency", {"rate": 0.0}, "no traffic"),
        ("Traffic", {"rate": 0.0}, "0.0/s"),
        ("In progress", {"rate": 0.0}, "no data"),
    ],
)
def test_absence_is_shown_as_absence(title: str, now: dict[str, float] | None, shown: str) -> None:
    """Without traffic there is no share and no latency; without data there is nothing."""
    assert headline(BY_TITLE[title], now) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [(1, "100 %"), (0.999_96, "99.99 %"), (0.8241, "82.4 %"), (0.0003, "0.03 %"), (0.000_01, "0.01 %"), (0, "0 %")],
)
def test_a_share_is_all_or_nothing_only_if_it_is(value: float, shown: str) -> None:
    """Rounding never makes 100 % of what is less, nor 0 % of what is more."""
    assert format_value(value, "ratio") == shown


def test_a_value_that_is_no_number_is_none() -> None:
    """Prometheus' quantile of nothing is NaN."""
    found = [{"metric": {"signal": key}, "value": [0, text]} for key, text in {"p99": "NaN", "rate": "0"}.items()]
    assert values(found) == {"rate": 0.0}


def test_consecutive_samples_are_one_span() -> None:
    """Each stands for the step before it."""
    assert spans([2, 4, 6, 20], 2) == [(0, 6), (18, 20)]


def test_each_fault_has_its_own_spans_and_its_own_name() -> None:
    """In the legend, with its times: colour alone would not tell them apart."""
    times = {"a": [10, 12], "b": [14, 16, 30]}
    found = [
        {"metric": {"signal": "fault", "fault": name}, "values": [(at, "1") for at in each]}
        for name, each in times.items()
    ]
    acting = sorted(acting_spans(found, 2).items())
    assert acting == [("a", [(8, 12)]), ("b", [(12, 16), (28, 30)])]
    drawn = shades(acting, 29)
    assert len(drawn) == 3
    assert len({area[0]["itemStyle"]["color"] for area in drawn}) == 2
    named = legend([("<a>", [(8.0, 12.0)]), ("b", [(0.0, 30.0)])], (1.0, 31.0), Zone())
    assert "fault &lt;a&gt;, 00:00:08 to 00:00:12" in named
    assert "fault b, before to now" in named


def test_the_present_values_do_not_depend_on_the_span(clock: Clock) -> None:
    """A view of six hours is drawn seldom and over long windows; its numbers are those of the last seconds."""
    asked: list[str] = []

    async def answer(request: Request) -> Response:
        expr = request.query_params.get("query", "")
        data: Any = EMPTY
        if request.url.path.endswith("/query") and '"success"' in expr:
            asked.append(expr)
            data = {"result": [{"metric": {"signal": "success"}, "value": [0, "0.25"]}]}
        return JSONResponse({"status": "success", "data": data})

    async def look(span: int) -> Any:
        watcher = PrometheusWatcher(AsyncPrometheusClient(client(answer)), "shop", lambda: [View(span)], clock)
        await watcher.poll()
        return (await watcher.poll()).now[ALL]

    assert asyncio.run(look(300)) == asyncio.run(look(21600)) == {"success": 0.25}
    assert len(asked) == 4
    assert all("[60s]" in expr for expr in asked)
