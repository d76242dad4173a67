"""The line of each request."""

from typing import Any

import pytest
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

import chaosapi
from chaosapi.calls import NOBODY, Calls, Try
from chaosapi.settings import Settings
from chaosapi.telemetry.access_log import AccessLog, summaries
from tests.captured import captured
from tests.conftest import MakeClient


def calls(*tries: Try, waited_s: float = 0.0) -> Calls:
    """Return the record of a request."""
    made = Calls(NOBODY, float)
    made.extend(tries)
    made.waited_s = waited_s
    return made


def line(
    *tries: Try, headers: dict[bytes, bytes] | None = None, status: str = "200", release: str = "", waited_s: float = 0
) -> dict[str, Any]:
    """Return the line of a request."""
    log = AccessLog("shop-1", lambda: release)
    with captured("chaosapi.access") as lines:
        log.write("GET", "/items/{id}", "/items/1", headers or {}, calls(*tries, waited_s=waited_s), status, 0.25)
    (found,) = lines
    return found


def test_fields_without_a_value_are_left_out() -> None:
    assert line() == {
        "event": "request",
        "level": "info",
        "method": "GET",
        "route": "/items/{id}",
        "path": "/items/1",
        "status": "200",
        "seconds": 0.25,
        "replica": "shop-1",
    }


def test_a_line_names_user_tenant_release_and_the_time_in_the_queue() -> None:
    """A client sends the first two, of any length and in any encoding."""
    found = line(headers={b"x-user-id": b"\xe9\x1b" + b"u" * 999, b"x-tenant": b"acme"}, release="2.4.1", waited_s=0.5)
    assert found["user"] == "\xe9\x1b" + "u" * 126
    assert (found["tenant"], found["release"], found["queue_seconds"]) == ("acme", "2.4.1", 0.5)


@pytest.mark.parametrize(
    ("status", "level"), [("200", "info"), ("404", "info"), ("000", "info"), ("500", "warning"), ("504", "warning")]
)
def test_answers_of_the_service_that_failed_are_warnings(status: str, level: str) -> None:
    assert line(status=status)["level"] == level


def test_a_call_has_its_tries_and_the_time_from_the_first_to_the_end_of_the_last() -> None:
    """The pause between two tries is part of the call."""
    assert summaries(
        calls(
            Try("db", 1, "ok", 10.0, 0.25),
            Try("payments", 1, "timeout", 11.0, 1.0, "no answer within 1 s"),
            Try("db", 1, "error", 11.0, 0.5, "db answered 503"),
            Try("payments", 2, "ok", 12.5, 0.25),
            Try("db", 2, "rejected", 13.0, 0.0, "the circuit breaker is open"),
        )
    ) == [
        {"name": "db", "tries": 1, "seconds": 0.25, "outcome": "ok"},
        {"name": "payments", "tries": 2, "seconds": 1.75, "outcome": "ok"},
        {"name": "db", "tries": 2, "seconds": 2.0, "outcome": "rejected"},
    ]


def test_requests_of_the_shop_show_where_their_time_went(make_client: MakeClient) -> None:
    """Each has one line, also HEAD, requests of unknown paths, and two of the same id; probes have none."""
    client = make_client(access_log=True, replica="shop-1", release="2.4.1")
    client.post("/admin/faults", json={"effect": {"type": "error", "status": 503}, "target": {"points": ["payments"]}})
    with captured("chaosapi.access") as lines:
        client.head("/api/products", headers={"x-request-id": "a-1"})
        client.get("/nowhere", headers={"x-request-id": "a-1"})
        client.get("/healthz")
        client.get("/api/products", headers={"user-agent": "kube-probe/1.33"})
        client.post("/api/cart/c-1/items", json={"product_id": "p-0001", "quantity": 1})
        client.post("/api/checkout", json={"cart_id": "c-1"}, headers={"x-user-id": "u-7", "x-tenant": "acme"})
    assert [(each["method"], each["route"], each["status"]) for each in lines] == [
        ("HEAD", "/api/products", "200"),
        ("GET", "none", "404"),
        ("POST", "/api/cart/{cart_id}/items", "201"),
        ("POST", "/api/checkout", "503"),
    ]
    assert [each["request_id"] for each in lines[:2]] == ["a-1", "a-1"]
    assert {(each["replica"], each["release"]) for each in lines} == {("shop-1", "2.4.1")}
    last = lines[-1]
    assert (last["user"], last["tenant"]) == ("u-7", "acme")
    assert [(each["name"], each["outcome"]) for each in last["calls"]] == [("db", "ok"), ("payments", "error")]


def test_lines_name_the_trace_of_the_caller(make_client: MakeClient) -> None:
    """Those about dependencies, too; without a caller's trace a request has one of its own."""
    trace_id = "0af7651916cd43dd8448eb211c80319c"
    client = make_client(access_log=True)
    client.post("/admin/faults", json={"effect": {"type": "error", "status": 503}, "target": {"points": ["db"]}})
    with captured("chaosapi.access") as requests, captured("shop.db") as tries:
        client.get("/api/products", headers={"traceparent": f"00-{trace_id}-b7ad6b7169203331-01"})
        client.get("/api/products")
    assert len(tries) > 3
    assert {each["trace_id"] for each in tries[:3]} == {trace_id}
    assert requests[0]["trace_id"] == trace_id
    assert len({each["trace_id"] for each in requests}) == 2


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer; without a lifespan."""
    assert scope["type"] == "http"
    await PlainTextResponse("hello")(scope, receive, send)


def test_a_guest_has_a_release_only_where_it_was_given() -> None:
    """The shop's first release says nothing about an app of the user's own."""
    for given, shown in (({}, None), ({"release": "7.1"}, "7.1")):
        app = chaosapi.ChaosMiddleware(hello, settings=Settings.model_validate(given))
        with TestClient(app, base_url="http://localhost") as client, captured("chaosapi.access") as lines:
            client.get("/items")
        assert [each.get("release") for each in lines] == [shown]
