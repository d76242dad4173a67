"""Request metrics equal the client's view, under a real server: the status, and the time of the last byte."""

import asyncio
import re
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
from fastapi import BackgroundTasks, FastAPI
from fastapi.responses import FileResponse, StreamingResponse
from starlette.background import BackgroundTask
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

import chaosapi
from chaosapi.settings import Settings
from tests.patience import patience
from tests.serving import serving

QUIET = Settings(access_log=False)
SLOW = 2.0
"""Seconds that a request is held, or that an app continues after its response."""


def start(status: Any = 200, *headers: tuple[bytes, bytes], **more: Any) -> Message:
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(part: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": part, "more_body": more}


LENGTH = (b"content-length", b"4")
SCRIPTS: dict[str, list[Message | float | Exception]] = {
    "/silent": [],
    "/raises": [RuntimeError("before the start")],
    "/breaks": [start(200, LENGTH), RuntimeError("after the start")],
    "/unfinished": [start(200, LENGTH), body(b"ab", more=True)],
    "/garbage-message": [{"type": "http.response.bogus"}],
    "/garbage-header": [start(200, (b"x", b"a\nb"))],
    "/garbage-status": [start("fine")],
    "/known-length": [start(200, LENGTH), body(b"ab", more=True), body(b"cd", more=True), SLOW, body()],
    "/goes-on": [start(200, LENGTH), body(b"fine"), SLOW],
    "/chunked": [start(), body(b"ab", more=True), body(b"cd", more=True), 0.6, body()],
    "/head": [start(200, LENGTH), SLOW, body()],
    "/not-modified": [start(304), SLOW, body()],
    "/slow": [1.0, start(), body(b"fine")],
    "/streams": [start(), body(b"ab", more=True), 1.0, body()],
}
"""The app's behaviour by path: its messages, its sleeps in seconds, its exceptions."""


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """Behave as configured for the path."""
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan")
    for step in SCRIPTS[scope["path"]]:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, float):
            await asyncio.sleep(step)
        else:
            await send(step)


class Counted:
    """The request metrics of a service."""

    def __init__(self, client: httpx2.Client) -> None:
        self._client = client

    def statuses(self, handler: str) -> dict[str, int]:
        """Return the ended requests of a route by status."""
        return {status: count for status, count in self._find("requests_total", handler).items() if count}

    def fast(self, handler: str, le: str = "0.25") -> int:
        """Return the requests of a route in a bucket, for all statuses."""
        return sum(self._find("request_duration_seconds_bucket", handler, le).values())

    def wait(self, handler: str, requests: int = 1) -> dict[str, int]:
        """Wait for the requests of a route to be counted; return the statuses."""
        deadline = time.monotonic() + patience(10)
        while sum((found := self.statuses(handler)).values()) < requests:
            assert time.monotonic() < deadline, f"{requests} of {handler} were not counted"
            time.sleep(0.01)
        return found

    def _find(self, name: str, handler: str, le: str | None = None) -> dict[str, int]:
        bound = "" if le is None else f'le="{le}",'
        pattern = rf'^http_{name}{{handler="{re.escape(handler)}",{bound}method="\w+",status="(\d+)"}} (\d+)\.0$'
        found: dict[str, int] = {}
        for status, value in re.findall(pattern, self._client.get("/metrics").text, re.MULTILINE):
            found[status] = found.get(status, 0) + int(value)
        return found


@pytest.fixture(params=["httptools", "h11"])
def client(request: pytest.FixtureRequest) -> Iterator[httpx2.Client]:
    """Serve the plain app under each of uvicorn's HTTP implementations."""
    app = chaosapi.ChaosMiddleware(plain, routes=SCRIPTS, settings=QUIET)
    with serving(app, request.param) as client:
        yield client


def inject(client: httpx2.Client, effect: dict[str, Any], **fault: Any) -> None:
    client.put("/admin/faults/f", json={"effect": effect, **fault}).raise_for_status()


def seen(client: httpx2.Client, path: str, method: str = "GET", timeout: float = 20) -> str:
    """Return the status that a client sees, 000 for none."""
    try:
        return str(client.request(method, path, timeout=timeout).status_code)
    except httpx2.TransportError:
        return "000"


@pytest.mark.parametrize("path", ["/raises", "/silent", "/garbage-message", "/garbage-header", "/garbage-status"])
def test_a_response_by_the_server_is_counted_with_the_clients_status(client: httpx2.Client, path: str) -> None:
    """500 if the server responds, 000 if it closes the connection."""
    status = seen(client, path)
    assert Counted(client).wait(path) == {status: 1}
    assert Counted(client).fast(path) == (status == "500")


@pytest.mark.parametrize("path", ["/breaks", "/unfinished"])
def test_an_aborted_response_keeps_its_status_and_is_never_fast(client: httpx2.Client, path: str) -> None:
    assert seen(client, path) == "000"
    assert Counted(client).wait(path) == {"200": 1}
    assert Counted(client).fast(path, "30.0") == 0


ENDED = [("GET", "/goes-on"), ("GET", "/known-length"), ("HEAD", "/head"), ("GET", "/not-modified")]
"""Responses that are complete long before the app returns."""


@pytest.mark.parametrize(("method", "path"), ENDED)
def test_a_response_ends_with_its_last_byte(client: httpx2.Client, method: str, path: str) -> None:
    """With a known length or without a body; the app continues afterwards."""
    began = time.monotonic()
    with client.stream(method, path):
        Counted(client).wait(path)
    assert time.monotonic() - began < patience(SLOW)
    assert Counted(client).fast(path, "1.0") == 1


@pytest.mark.parametrize(("method", "path"), ENDED)
def test_a_complete_response_no_longer_counts_as_in_progress(client: httpx2.Client, method: str, path: str) -> None:
    """While the app continues."""
    inject(client, {"type": "capacity", "concurrency": 1, "queue": 0}, target={"routes": [path, "/silent"]})
    began = time.monotonic()
    with client.stream(method, path):
        while seen(client, "/silent") == "503":
            assert time.monotonic() - began < SLOW - 0.5, "the place is kept"
            time.sleep(0.01)


@pytest.mark.parametrize("path", ["/goes-on", "/known-length", "/not-modified"])
def test_an_error_after_the_handler_does_not_wait_for_background_work(client: httpx2.Client, path: str) -> None:
    inject(client, {"type": "error", "status": 502, "when": "after"}, target={"routes": [path]})
    began = time.monotonic()
    assert seen(client, path) == "502"
    assert time.monotonic() - began < patience(SLOW / 2)
    assert Counted(client).wait(path) == {"502": 1}
    assert Counted(client).fast(path, "1.0") == 1


def test_a_response_of_unknown_length_ends_with_the_apps_last_message(client: httpx2.Client) -> None:
    assert client.get("/chunked").text == "abcd"
    assert Counted(client).wait("/chunked") == {"200": 1}
    assert Counted(client).fast("/chunked", "0.5") == 0
    assert Counted(client).fast("/chunked", "30.0") == 1


def test_a_disconnect_before_the_response_is_counted_as_000_and_never_as_fast(client: httpx2.Client) -> None:
    """With and without a fault; client and service count the same."""
    inject(
        client, {"type": "latency", "distribution": {"type": "constant", "value": SLOW}}, target={"routes": ["/head"]}
    )
    for path in ("/head", "/slow"):
        assert [seen(client, path, timeout=0.2) for _ in range(5)] == ["000"] * 5
        deadline = time.monotonic() + patience(10)
        while Counted(client).statuses(path) != {"000": 5}:
            assert time.monotonic() < deadline, Counted(client).statuses(path)
            time.sleep(0.01)
        assert Counted(client).fast(path, "30.0") == 0


def test_a_disconnect_during_a_response_keeps_its_status_and_is_never_fast(client: httpx2.Client) -> None:
    with client.stream("GET", "/streams") as answer:
        assert answer.status_code == 200
    assert Counted(client).wait("/streams") == {"200": 1}
    assert Counted(client).fast("/streams", "30.0") == 0


def test_pipelined_requests_after_a_disconnect_are_counted_as_000(client: httpx2.Client) -> None:
    """The server stops reading such a connection and does not notice the disconnect."""
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as connection:
        connection.sendall(b"GET /slow HTTP/1.1\r\nhost: a\r\n\r\n" * 3)
        time.sleep(0.1)
    assert "200" not in Counted(client).wait("/slow")


@pytest.mark.parametrize("effect", [{"type": "reset"}, {"type": "hang", "at_most": "100ms"}])
def test_an_injected_missing_response_is_counted_as_000(client: httpx2.Client, effect: dict[str, Any]) -> None:
    inject(client, effect, target={"routes": ["/silent"]})
    assert seen(client, "/silent") == "000"
    assert Counted(client).wait("/silent") == {"000": 1}
    assert Counted(client).fast("/silent", "30.0") == 0


class Afterwards:
    """The work that an app does after its responses: it goes on until the test ends it."""

    def __init__(self) -> None:
        self._over = threading.Event()
        self.running = 0

    async def __call__(self) -> None:
        self.running += 1
        while not self._over.is_set():
            await asyncio.sleep(0.01)
        self.running -= 1

    def end(self) -> None:
        self._over.set()


def a_fastapi_app(folder: Path, afterwards: Afterwards) -> FastAPI:
    """Return an app whose routes continue after their responses."""
    app = FastAPI()
    (folder / "file").write_bytes(b"x" * 200_000)

    @app.get("/task")
    def task(tasks: BackgroundTasks) -> str:
        tasks.add_task(afterwards)
        return "fine"

    async def parts() -> AsyncIterator[bytes]:
        try:
            for _ in range(4):
                yield b"x"
        finally:
            await afterwards()

    @app.get("/generator")
    def generator() -> StreamingResponse:
        return StreamingResponse(parts(), headers={"content-length": "4"})

    @app.get("/file")
    def file() -> FileResponse:
        return FileResponse(folder / "file", background=BackgroundTask(afterwards))

    @app.head("/file")
    def head() -> FileResponse:
        return FileResponse(folder / "file", background=BackgroundTask(afterwards))

    return app


def test_background_work_is_no_latency_and_not_in_progress(tmp_path: Path) -> None:
    """Background tasks, the cleanup of a generator, code after a file: requests are counted while it goes on."""
    afterwards = Afterwards()
    app = a_fastapi_app(tmp_path, afterwards)
    chaosapi.install(app, QUIET)
    with serving(app) as client:
        inject(client, {"type": "capacity", "concurrency": 1, "queue": 0})
        try:
            for method, path, size, requests in (
                ("GET", "/task", 6, 1),
                ("GET", "/generator", 4, 1),
                ("GET", "/file", 200_000, 1),
                ("HEAD", "/file", 0, 2),
            ):
                # On the same connection the server answers the next request when the work is over.
                with httpx2.Client(base_url=client.base_url) as own, own.stream(method, path) as answer:
                    assert (answer.status_code, sum(map(len, answer.iter_raw(1)))) == (200, size)
                    assert Counted(client).wait(path, requests) == {"200": requests}
                assert afterwards.running
        finally:
            afterwards.end()


@pytest.mark.parametrize("effect", [{"type": "reset"}, {"type": "hang", "at_most": "100ms"}])
def test_below_a_middleware_that_hides_the_connection_the_servers_response_is_counted(effect: dict[str, Any]) -> None:
    """A fault cannot close the connection there: the client gets 500."""

    async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    below = chaosapi.ChaosMiddleware(plain, routes=SCRIPTS, settings=QUIET)
    with serving(BaseHTTPMiddleware(below, dispatch=pass_on)) as client:
        inject(client, effect, target={"routes": ["/silent"]})
        assert seen(client, "/silent") == "500"
        assert Counted(client).wait("/silent") == {"500": 1}


def test_a_disconnect_is_counted_below_any_middleware() -> None:
    """Only `receive` reports the disconnect."""

    async def pass_on(request: Request, call_next: RequestResponseEndpoint) -> Response:
        return await call_next(request)

    below = chaosapi.ChaosMiddleware(plain, routes=SCRIPTS, settings=QUIET)
    with serving(BaseHTTPMiddleware(below, dispatch=pass_on)) as client:
        held = {"type": "latency", "distribution": {"type": "constant", "value": SLOW}}
        inject(client, held, target={"routes": ["/chunked"]})
        assert seen(client, "/chunked", timeout=0.2) == "000"
        assert Counted(client).wait("/chunked") == {"000": 1}


def test_the_series_of_000_starts_at_0(client: httpx2.Client) -> None:
    """increase() sees the first request without a response."""
    assert 'handler="/slow",method="GET",status="000"} 0.0' in client.get("/metrics").text
