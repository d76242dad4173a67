"""Calls to dependencies in `def` handlers, which run in worker threads, under a real event loop."""

import asyncio
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

import chaosapi
from chaosapi.settings import Settings
from tests.patience import patience


class Calls:
    """The outcomes of the handlers' calls."""

    def __init__(self) -> None:
        self.worked = 0
        self.threads: set[int] = set()


def call(calls: Calls) -> str:
    """Call the dependency; return the outcome."""
    try:
        with chaosapi.point("db"):
            calls.worked += 1
            calls.threads.add(threading.get_ident())
    except (chaosapi.DependencyError, ConnectionError, RuntimeError, KeyError) as error:
        return type(error).__name__
    return "fine"


@pytest.fixture
def calls() -> Calls:
    """Return a new record."""
    return Calls()


@pytest.fixture
def client(calls: Calls) -> Iterator[TestClient]:
    """Serve an app whose handlers call the dependency in a thread, in a nested function, and wrongly."""
    app = FastAPI()

    @app.get("/call")
    def handler() -> str:
        return call(calls)

    @app.get("/fails")
    def failing() -> str:
        with pytest.raises(ZeroDivisionError), chaosapi.point("db"):
            _ = 1 // 0
        return "fine"

    @app.get("/blocks")
    async def blocking() -> str:
        return call(calls)

    chaosapi.install(app, Settings(access_log=False), points=["db"])
    with TestClient(app, base_url="http://localhost") as client:
        yield client


def inject(client: TestClient, effect: dict[str, Any]) -> None:
    """Inject a fault at the point."""
    client.put("/admin/faults/f", json={"effect": effect, "target": {"points": ["db"]}}).raise_for_status()


def receipt(client: TestClient) -> dict[str, Any]:
    """Return the fault's counts."""
    shown: dict[str, Any] = client.get("/admin/faults/f").json()["receipt"]
    return shown


def until_held(client: TestClient, count: int) -> None:
    """Wait until a number of requests is held."""
    while f"chaosapi_held_requests {count}.0" not in client.get("/admin/metrics").text:
        time.sleep(0.01)


@pytest.mark.parametrize(
    ("effect", "seen", "worked"),
    [
        ({"type": "error", "status": 500}, "DependencyError", 0),
        ({"type": "error", "when": "after"}, "DependencyError", 1),
        ({"type": "reset"}, "ConnectionResetError", 0),
        ({"type": "exception", "raises": "KeyError"}, "KeyError", 0),
        ({"type": "hang", "at_most": "10ms"}, "ConnectionResetError", 0),
        ({"type": "latency", "distribution": {"type": "constant", "value": "10ms"}}, "fine", 1),
    ],
)
def test_every_effect_acts_in_threads_as_in_coroutines(
    client: TestClient, calls: Calls, effect: dict[str, Any], seen: str, worked: int
) -> None:
    """Before or after the block; without a fault the block just runs."""
    assert client.get("/call").json() == "fine"
    inject(client, effect)
    assert client.get("/call").json() == seen
    assert calls.worked == 1 + worked
    assert (receipt(client)["matched"], receipt(client)["injected"]) == (1, 1)


def test_the_block_runs_in_the_thread_of_the_handler(client: TestClient, calls: Calls) -> None:
    """Its exceptions reach the handler."""
    inject(client, {"type": "latency", "distribution": {"type": "constant", "value": "1ms"}})
    client.get("/call")
    assert calls.threads.isdisjoint({threading.get_ident()})
    assert client.get("/fails").json() == "fine"


@pytest.mark.parametrize("ending", ["kill", "end"])
def test_threads_are_released_when_the_fault_ends(client: TestClient, calls: Calls, ending: str) -> None:
    """By the kill switch or by DELETE; each call is counted once."""
    inject(client, {"type": "hang", "at_most": "1h"})
    with ThreadPoolExecutor(8) as pool:
        answers = [pool.submit(client.get, "/call") for _ in range(8)]
        until_held(client, 8)
        client.delete("/admin/faults" if ending == "kill" else "/admin/faults/f").raise_for_status()
        assert {answer.result(patience(20)).json() for answer in answers} == {"ConnectionResetError"}
    assert (receipt(client)["injected"], calls.worked) == (8, 0)


def test_counts_are_exact_with_many_threads(client: TestClient, calls: Calls) -> None:
    """The decisions are made in the event loop, one after the other."""
    client.put(
        "/admin/faults/f", json={"effect": {"type": "error"}, "target": {"points": ["db"]}, "rate": 0.5}
    ).raise_for_status()
    with ThreadPoolExecutor(16) as pool:
        seen = [answer.json() for answer in pool.map(lambda _: client.get("/call"), range(400))]
    shown = receipt(client)
    assert (shown["matched"], shown["injected"]) == (400, seen.count("DependencyError"))
    assert calls.worked == seen.count("fine") == 400 - shown["injected"]


def test_the_blocking_form_is_refused_in_a_coroutine(client: TestClient) -> None:
    """It would block the event loop: the error names the right form, with and without a fault."""
    assert client.get("/blocks").json() == "RuntimeError"
    inject(client, {"type": "error"})
    assert client.get("/blocks").json() == "RuntimeError"

    async def outside() -> None:
        with pytest.raises(RuntimeError, match="use `async with`"), chaosapi.point("db"):
            pytest.fail("the block ran")

    asyncio.run(outside())


def test_outside_a_request_a_point_has_no_effect() -> None:
    """As in coroutines."""
    with chaosapi.point("db"):
        pass
