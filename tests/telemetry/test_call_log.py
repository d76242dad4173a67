"""What the log says of calls to dependencies."""

from collections.abc import Iterator
from typing import Any

import pytest

from chaosapi.calls import Try, Wait
from chaosapi.telemetry.call_log import CallLog
from tests.captured import captured
from tests.conftest import MakeClient

Lines = list[dict[str, Any]]


@pytest.fixture
def lines() -> Iterator[Lines]:
    """Yield what is logged below `app`."""
    with captured("app") as lines:
        yield lines


def log() -> CallLog:
    return CallLog("app", ["db"])


def test_a_failed_try_is_a_warning_with_its_reason(lines: Lines) -> None:
    """With its number, outcome and time."""
    log().write_try(Try("db", 2, "timeout", 1.0, 1.0, "no answer within 1 s"))
    assert lines == [
        {
            "event": "call failed",
            "level": "warning",
            "dependency": "db",
            "attempt": 2,
            "outcome": "timeout",
            "seconds": 1.0,
            "error": "no answer within 1 s",
        }
    ]


def test_rejections_and_changes_of_a_breaker_are_warnings(lines: Lines) -> None:
    """Also the end of the trouble: who reads warnings alone must see it."""
    log().write_try(Try("db", 1, "rejected", 1.0, 0.0, "the circuit breaker is open"))
    log().write_wait(Wait("/items", "", admitted=True, started=1.0, seconds=0.5))
    log().write_wait(Wait("/items", "", admitted=False, started=1.0, seconds=0.5, rejected=True))
    log().write_wait(Wait("/items", "db", admitted=False, started=1.0, seconds=0.25, rejected=True))
    log().write_breaker("db", "open")
    log().write_breaker("db", "closed")
    assert {line.pop("level") for line in lines} == {"warning"}
    assert lines == [
        {"event": "call rejected", "dependency": "db", "error": "the circuit breaker is open"},
        {"event": "request rejected", "route": "/items", "queue_seconds": 0.5, "error": "all places are taken"},
        {
            "event": "call rejected",
            "dependency": "db",
            "queue_seconds": 0.25,
            "error": "no free connection in the pool",
        },
        {"event": "circuit breaker changed", "dependency": "db", "state": "open"},
        {"event": "circuit breaker changed", "dependency": "db", "state": "closed"},
    ]


def test_names_that_were_not_given_share_a_logger() -> None:
    """A logger lives for ever, and handlers make up any number of names."""
    with captured("app.made-up") as own, captured("app") as shared:
        log().write_try(Try("made-up", 1, "error", 1.0, 0.0, "broken"))
    assert (len(own), len(shared)) == (0, 1)


def test_the_shop_logs_every_try_with_the_request_and_no_word_of_faults(make_client: MakeClient) -> None:
    """Five failures open the breaker; the calls that follow are rejected."""
    client = make_client()
    client.post("/admin/faults", json={"effect": {"type": "error", "status": 503}, "target": {"points": ["db"]}})
    with captured("shop") as lines:
        for number in range(3):
            client.get("/api/products", headers={"x-request-id": f"r-{number}"})
    events = [line["event"] for line in lines]
    assert events[:3] == ["call failed"] * 3
    assert events.count("call failed") == 5
    assert "circuit breaker changed" in events
    assert events[-1] == "call rejected"
    assert [line["attempt"] for line in lines[:3]] == [1, 2, 3]
    assert {line["request_id"] for line in lines[:3]} == {"r-0"}
    assert not any(word in str(lines).lower() for word in ("fault", "chaos", "inject"))
