"""The page of queries: its pure parts, and Prometheus' answers."""

import asyncio
from typing import Any

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from chaosapi.clients.errors import RefusedError
from chaosapi.clients.prometheus import AsyncPrometheusClient
from chaosapi.console.graph import MAX_SERIES, Series, complete, describe, examples, fetch, step
from chaosapi.console.query import table
from tests.console.test_sources import client


def answering(present: Any, over_time: Any = ()) -> AsyncPrometheusClient:
    """Return a client of a Prometheus with these results."""

    async def answer(request: Request) -> Response:
        result = over_time if request.url.path.endswith("query_range") else present
        return JSONResponse({"status": "success", "data": {"result": result}})

    return AsyncPrometheusClient(client(answer))


def test_a_series_that_has_ended_has_no_present_value() -> None:
    """Its last value is of another time; a counter keeps all its digits."""
    results = [
        {"metric": {"__name__": "up", "job": "a"}, "values": [[90, "1"], [100, "1234567"]]},
        {"metric": {}, "values": [[80, "5"]]},
    ]
    found = asyncio.run(fetch(answering([], results), "up", 100, 50, 10))
    assert [(each.name, each.now) for each in found] == [('up{job="a"}', 1234567.0), ("{}", None)]
    assert "no value" in table(found, ("#000",))


def test_a_result_with_too_many_series_is_refused() -> None:
    """A graph of hundreds is unreadable, and slow to draw."""
    many = [{"metric": {"a": str(number)}, "value": [0, "1"]} for number in range(MAX_SERIES + 1)]
    with pytest.raises(RefusedError, match="51 series, and a graph shows at most 50: aggregate"):
        asyncio.run(fetch(answering(many), "x", 100, 50, 10))


def test_a_scalar_is_a_curve_too() -> None:
    """Its present result is a pair, not a list of series."""
    found = asyncio.run(fetch(answering([100, "2"], [{"metric": {}, "values": [[100, "2"]]}]), "1 + 1", 100, 50, 10))
    assert [each.now for each in found] == [2.0]


def test_labels_are_written_as_in_a_query() -> None:
    assert describe({"__name__": "up"}) == "up"
    assert describe({"handler": "/a", "job": "b"}) == '{handler="/a", job="b"}'


def test_the_last_word_is_completed_to_the_name_of_a_metric() -> None:
    """Whatever stands before it."""
    names = ["http_requests_total", "up"]
    assert complete("sum(rate(http_r", names) == ["sum(rate(http_requests_total"]
    assert complete("up{", names) == complete("", names) == []


def test_a_graph_has_some_hundred_points() -> None:
    """Whatever its span."""
    assert [step(span) for span in (60, 300, 21600)] == [1, 1, 90]


def test_labels_cannot_become_markup() -> None:
    """Their values are other people's."""
    assert "<b>" not in table([Series('{x="<b>"}', [], 1.0)], ("#000",))


def test_the_examples_are_about_the_job() -> None:
    """Those of SLOs are of all SLOs."""
    offered = examples("my-job", "30s")
    assert 'job="my-job"' in offered["requests/s by route"]
    assert all("[30s]" in expr for name, expr in offered.items() if "by route" in name)
