"""Large bodies are parsed outside the event loop, with the same responses as small ones."""

import asyncio
import threading
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from pydantic import BeforeValidator
from starlette.requests import ClientDisconnect
from starlette.types import Message, Scope

from chaosapi import json_limits
from chaosapi.api import problems
from chaosapi.api.bodies import LARGE, route_class
from chaosapi.json_limits import JsonLimits
from chaosapi.models import Model
from chaosapi.runtime.pool import Pool
from tests.garbage import alive, collection_off
from tests.patience import patience

WHERE: list[str] = []
"""The threads in which bodies were validated."""


def _noted(value: Any) -> Any:
    WHERE.append(threading.current_thread().name)
    return value


class Note(Model):
    """The body of the route."""

    text: Annotated[str, BeforeValidator(_noted)]


@pytest.fixture
def pool() -> Iterator[Pool]:
    """Return a pool without a queue."""
    made = Pool("large bodies", waiting=0)
    yield made
    made.close()


@pytest.fixture
def notes(pool: Pool) -> Iterator[TestClient]:
    """Return a client of one route."""
    app = FastAPI()
    problems.install(app)
    api = APIRouter(route_class=route_class(JsonLimits(depth=3, values=5000), pool))

    @api.post("/")
    async def receive(note: Note) -> int:
        return len(note.text)

    app.include_router(api)
    WHERE.clear()
    with TestClient(app) as client:
        yield client


def test_only_large_bodies_are_parsed_and_validated_in_the_pool(notes: TestClient) -> None:
    """Each is validated once; a small body is not worth a thread."""
    assert notes.post("/", json={"text": "a" * LARGE}).json() == LARGE
    (name,) = WHERE
    assert name.startswith("large bodies")
    WHERE.clear()
    assert notes.post("/", json={"text": "a"}).json() == 1
    assert not any(name.startswith("large bodies") for name in WHERE)


@pytest.mark.parametrize(
    "wrong", [{"txt": "a"}, {"text": 5}, {"text": "a", **{f"f{n}": n for n in range(100)}}, [], "no"]
)
def test_an_invalid_large_body_gets_the_same_problem_as_a_small_one(notes: TestClient, wrong: Any) -> None:
    """The body is large because of spaces."""
    small = notes.post("/", json=wrong)
    text = small.request.content + b" " * LARGE
    large = notes.post("/", content=text, headers={"content-type": "application/json"})
    assert (small.status_code, small.json()) == (large.status_code, large.json())
    assert small.status_code == 422


def test_large_bodies_are_refused_while_the_pool_is_full(notes: TestClient, pool: Pool) -> None:
    """Small bodies are accepted meanwhile."""
    begun = threading.Event()
    hold = threading.Event()

    def work() -> None:
        begun.set()
        hold.wait(patience(60))

    portal = notes.portal
    assert portal is not None
    running = portal.start_task_soon(pool.run, work)
    try:
        assert begun.wait(patience(10))
        refused = notes.post("/", json={"text": "a" * LARGE})
        assert (refused.status_code, refused.json()["type"]) == (503, "urn:chaosapi:problem:busy")
        assert notes.post("/", json={"text": "a"}).status_code == 200
    finally:
        hold.set()
        running.result()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/admin/faults"),
        ("PUT", "/admin/faults/a"),
        ("PATCH", "/admin/faults/a"),
        ("POST", "/admin/forecast"),
        ("POST", "/hooks/alertmanager"),
    ],
)
def test_no_route_parses_large_bodies_in_the_event_loop(
    client: TestClient, monkeypatch: pytest.MonkeyPatch, method: str, path: str
) -> None:
    """Every route with a body is tried."""
    seen: list[str] = []
    read = json_limits.read

    def noted(body: bytes, allowed: JsonLimits) -> Any:
        seen.append(threading.current_thread().name)
        return read(body, allowed)

    monkeypatch.setattr(json_limits, "read", noted)
    client.request(method, path, json={"effect": {"type": "error", "body": "a" * LARGE}})
    (name,) = seen
    assert name.startswith("large bodies")


def test_a_client_that_leaves_within_its_body_is_counted_apart_and_leaves_no_garbage(notes: TestClient) -> None:
    """The error and the request would refer to each other."""
    messages: list[Message] = [
        {"type": "http.request", "body": b"{", "more_body": True},
        {"type": "http.disconnect"},
    ]
    scope: Scope = {"type": "http", "method": "POST", "path": "/", "root_path": "", "query_string": b"", "headers": []}
    answered: list[int] = []

    async def receive() -> Message:
        return messages.pop(0)

    async def send(message: Message) -> None:
        answered.append(message.get("status", 0))

    with collection_off():
        asyncio.run(notes.app({**scope, "headers": [(b"content-type", b"application/json")]}, receive, send))  # type: ignore[arg-type]  # an ASGI app of version 3
        assert alive(ClientDisconnect) == 0
    assert answered[0] == 499
