import asyncio
import gc
import json
import time
import uuid
import weakref
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import chaosapi
from chaosapi.settings import Settings
from chaosapi.trace_context import parse, trace_here
from tests.captured import captured
from tests.conftest import MakeClient, Serve


def test_a_valid_request_id_is_used_and_returned(client: TestClient) -> None:
    """In responses of the app, of faults, and of exempt paths."""
    client.post("/admin/faults", json={"effect": {"type": "error"}, "target": {"routes": ["/api/search"]}})
    for path in ("/api/products", "/api/search?q=oak", "/healthz", "/nowhere"):
        assert client.get(path, headers={"x-request-id": "abc-1"}).headers["x-request-id"] == "abc-1"


@pytest.mark.parametrize("bad", ["", "with space", "x" * 129])
def test_an_invalid_or_missing_id_is_replaced_by_a_generated_one(client: TestClient, bad: str) -> None:
    """Each id is new; the ids of one replica have a common prefix."""
    made = [client.get("/api/products", headers={"x-request-id": bad}).headers["x-request-id"] for _ in range(3)]
    assert len({*made, bad}) == 4
    assert len({one.rpartition("-")[0] for one in made}) == 1


class CorrelationId:
    """Takes a request id that is a UUID, makes one otherwise, and adds it to the response, as middlewares do."""

    def __init__(self, app: ASGIApp, header: bytes = b"x-request-id") -> None:
        self._app = app
        self._header = header

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        sent = dict(scope["headers"]).get(self._header, b"")
        try:
            chosen = str(uuid.UUID(sent.decode())).encode()
        except ValueError:
            chosen = b"made-by-the-app"

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message["headers"], (self._header, chosen)]}
            await send(message)

        await self._app(scope, receive, sending)


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the request ids that the app got."""
    ids = [value.decode() for name, value in scope["headers"] if name == b"x-request-id"]
    await PlainTextResponse(" ".join(ids))(scope, receive, send)


GIVEN = "8f1b8a3c-2f3c-4d55-9a53-0a8b8b8b8b8b"


@pytest.mark.parametrize("header", [b"x-request-id", b"X-Request-ID", b"x-correlation-id"])
def test_a_response_has_one_request_id(header: bytes) -> None:
    """The app's where it has one, else the one that the app got."""
    app = chaosapi.ChaosMiddleware(CorrelationId(echo, header), settings=Settings(access_log=False))
    with TestClient(app, base_url="http://localhost") as client:
        for sent in ([], [GIVEN], ["abc-1"], ["x" * 129], ["with space", GIVEN]):
            answer = client.get("/a", headers=[("x-request-id", each) for each in sent])
            (shown,) = answer.headers.get_list("x-request-id")
            assert shown in {answer.text, "made-by-the-app"}


def test_the_app_gets_the_one_usable_id_of_a_request_or_a_new_one_that_is_a_uuid() -> None:
    """So that its own middlewares take the id that decides about faults."""
    app = chaosapi.ChaosMiddleware(CorrelationId(echo), settings=Settings(access_log=False))
    with TestClient(app, base_url="http://localhost") as client:
        for sent, usable in (([GIVEN], GIVEN), (["with space", GIVEN], GIVEN), ([GIVEN, GIVEN[::-1]], GIVEN)):
            answer = client.get("/a", headers=[("x-request-id", each) for each in sent])
            assert answer.text == answer.headers["x-request-id"] == usable
        for unusable in ([], [""], ["x" * 129], ["with space"]):
            answer = client.get("/a", headers=[("x-request-id", each) for each in unusable])
            assert answer.text == answer.headers["x-request-id"] == str(uuid.UUID(answer.text, version=4))


def test_every_request_has_one_log_line_with_its_id(make_client: MakeClient) -> None:
    """With method, path, status and seconds; exempt paths have none."""
    client = make_client(access_log=True)
    with captured() as lines:
        client.get("/api/products?page=2", headers={"x-request-id": "abc-1"})
        client.get("/healthz")
    (line,) = lines
    assert {key: line[key] for key in ("method", "path", "status", "request_id")} == {
        "method": "GET",
        "path": "/api/products",
        "status": "200",
        "request_id": "abc-1",
    }


@pytest.mark.slow
def test_the_process_writes_only_json_lines(serve: Serve, tmp_path: Path) -> None:
    """Also uvicorn's own lines; each has a time and a level. An exception is one error, with its request and trace."""
    url = serve(CHAOSAPI_ACCESS_LOG="true")
    httpx2.post(f"{url}/admin/faults", json={"effect": {"type": "exception"}, "target": {"routes": ["/api/search"]}})
    httpx2.get(f"{url}/api/search?q=oak", headers={"x-request-id": "abc-0"})
    httpx2.get(f"{url}/api/products", headers={"x-request-id": "abc-1"})
    (log,) = tmp_path.glob("serve-*.log")
    while "abc-1" not in log.read_text():
        time.sleep(0.02)  # the line comes after the answer; the suite's time-out ends a wait in vain
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert all({"event", "level", "timestamp"} <= line.keys() for line in lines)
    assert [line["path"] for line in lines if line.get("request_id") == "abc-1"] == ["/api/products"]
    broken = [line for line in lines if line.get("request_id") == "abc-0"]
    assert sorted((line["level"], "exception" in line) for line in broken) == [("error", True), ("warning", False)]
    assert len({line["trace_id"] for line in broken}) == 1


class ServerCycle:
    """A server's object of one request, which holds the scope as uvicorn's does."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._scope: Scope = {"type": "http", "method": "GET", "path": "/items", "headers": [], "root_path": ""}

    async def send(self, message: Message) -> None:
        pass

    async def receive(self) -> Message:
        return {"type": "http.request"}

    async def run(self) -> None:
        await self._app(self._scope, self.receive, self.send)


def test_a_request_leaves_nothing_to_the_garbage_collector() -> None:
    """The server's object of the request is freed when the request is over."""

    async def scenario() -> None:
        app = chaosapi.ChaosMiddleware(PlainTextResponse("hello"), settings=Settings(access_log=False))
        await ServerCycle(app).run()
        cycle = ServerCycle(app)
        freed = weakref.ref(cycle)
        gc.disable()
        try:
            await cycle.run()
            del cycle
            assert freed() is None
        finally:
            gc.enable()

    asyncio.run(scenario())


async def traced(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer with the trace headers that a call to another service would have."""
    assert scope["type"] == "http"
    await PlainTextResponse(json.dumps(trace_here().headers))(scope, receive, send)


@pytest.mark.parametrize("access_log", [True, False])
def test_a_request_belongs_to_the_trace_of_its_caller_or_to_a_new_one(access_log: bool) -> None:  # noqa: FBT001 - a parameter
    """What the caller sent is passed on, its state too; what is not valid is replaced."""
    app = chaosapi.ChaosMiddleware(traced, settings=Settings(access_log=access_log))
    given = {"traceparent": f"00-{'4b' * 16}-{'b7' * 8}-01", "tracestate": "congo=t61"}
    with TestClient(app, base_url="http://localhost") as client:
        assert client.get("/a", headers=given).json() == given
        made = [client.get("/a", headers=sent).json() for sent in ({}, {}, {"traceparent": "00-none"})]
    assert len({each["traceparent"] for each in made}) == 3
    assert all(parse(each["traceparent"].encode()) for each in made)
