"""chaosapi in host apps: FastAPI, Starlette and plain ASGI, under a real server if that matters."""

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.endpoints import HTTPEndpoint
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

import chaosapi
from chaosapi.installation import routes_of
from chaosapi.settings import Settings, SettingsError
from tests.captured import captured
from tests.serving import serving

QUIET = Settings(access_log=False)
Serve = Callable[[ASGIApp], httpx2.Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Yield a function that serves an app with a real uvicorn and returns a client of it."""
    with ExitStack() as stack:
        yield lambda app: stack.enter_context(serving(app))


def inject(client: httpx2.Client | TestClient, effect: dict[str, Any], **fault: Any) -> None:
    """Inject the fault `f`."""
    client.put("/admin/faults/f", json={"effect": effect, **fault}).raise_for_status()


def count(client: httpx2.Client | TestClient, handler: str, status: str) -> float:
    """Return how many requests were counted with these labels."""
    found = re.findall(
        rf'^http_requests_total{{handler="{re.escape(handler)}",method="GET",status="{status}"}} (\S+)$',
        client.get("/metrics").text,
        re.MULTILINE,
    )
    return float(*found)


def a_fastapi_app(seen: list[str]) -> FastAPI:
    """Return an app with a lifespan, probes, docs and a mount; chaosapi is installed before its routes."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        seen.append("started")
        yield
        seen.append("stopped")

    app = FastAPI(lifespan=lifespan, title="theirs")
    inner = FastAPI()
    chaosapi.install(app, QUIET, points=["db"])

    @app.get("/healthz")
    async def healthz() -> str:
        return "their own"

    @app.get("/late/{number}")
    def late(number: int) -> int:
        return number

    @app.get("/orders")
    async def orders() -> str:
        async with chaosapi.point("db"):
            return "many"

    @inner.get("/deep/{name}")
    async def deep(name: str) -> str:
        return name

    app.mount("/inner", inner)
    return app


def test_a_fastapi_app_keeps_its_lifespan_probes_and_docs(serve: Serve) -> None:
    """It gets an admin API, metrics and the missing probe."""
    seen: list[str] = []
    with serving(a_fastapi_app(seen)) as client:
        assert client.get("/healthz").json() == "their own"
        assert client.get("/readyz").json() == {"status": "ok"}
        assert client.get("/openapi.json").json()["info"]["title"] == "theirs"
        assert "/late/{number}" in client.get("/openapi.json").json()["paths"]
        assert client.get("/docs").status_code == client.get("/admin/docs").status_code == 200
        assert client.get("/late/7").json() == 7
        assert seen == ["started"]
    assert seen == ["started", "stopped"]


@pytest.mark.parametrize(
    ("route", "path"), [("/late/{number}", "/late/7"), ("/inner/deep/{name}", "/inner/deep/x"), ("/orders", "/orders")]
)
def test_every_kind_of_route_can_be_hit_and_is_counted(serve: Serve, route: str, path: str) -> None:
    """Routes added later, sync handlers, and mounts; and the kill switch."""
    client = serve(a_fastapi_app([]))
    assert count(client, route, "503") == 0
    inject(client, {"type": "error"}, target={"routes": [route]})
    assert client.get(path).status_code == 503
    assert client.delete("/admin/faults").json()["ended"] == 1
    assert client.get(path).status_code == 200
    assert (count(client, route, "503"), count(client, route, "200")) == (1, 1)


def test_points_of_the_app_can_be_hit(serve: Serve) -> None:
    """With names from `install`; an uncaught error is the app's 500."""
    client = serve(a_fastapi_app([]))
    body = {"effect": {"type": "error"}, "target": {"points": ["cache"]}}
    assert "there are db" in client.post("/admin/faults", json=body).json()["detail"]
    inject(client, {"type": "error"}, target={"points": ["db"]})
    assert client.get("/late/1").status_code == 200
    assert client.get("/orders").status_code == 500


def test_an_injected_exception_reaches_the_apps_error_handler() -> None:
    """As an exception of the app does."""

    async def sorry(_: Request, error: Exception) -> Response:
        return PlainTextResponse(f"sorry: {error}", 500)

    app = Starlette(routes=[Route("/a", a_page)], exception_handlers={Exception: sorry})
    chaosapi.install(app, QUIET)
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        inject(client, {"type": "exception", "message": "boom"})
        assert client.get("/a").text == "sorry: boom"


async def a_page(_: Request) -> Response:
    """Answer."""
    return PlainTextResponse("fine")


class APage(HTTPEndpoint):
    """An endpoint as a class."""

    async def get(self, _: Request) -> Response:
        return PlainTextResponse("fine")


async def an_echo(socket: WebSocket) -> None:
    """Send back what comes."""
    await socket.accept()
    await socket.send_text(await socket.receive_text())
    await socket.close()


def a_starlette_app() -> Starlette:
    """Return an app with all kinds of routes."""
    mount = Mount("/m", routes=[Route("/z/{k:int}", a_page, methods=["POST"])])
    routes = [Route("/a", a_page), Route("/class", APage), mount, Mount("/files", a_plain_app)]
    app = Starlette(routes=[*routes, Host("other.example", Starlette()), WebSocketRoute("/ws", an_echo)])
    chaosapi.install(app, QUIET)
    return app


async def a_plain_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond to HTTP only."""
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    async with chaosapi.point("db"):
        answer = PlainTextResponse(scope["path"])
    await answer(scope, receive, send)


def test_all_routes_of_a_starlette_app_are_found() -> None:
    """With their methods, without web sockets."""
    found = {route.template: route.methods for route in routes_of(a_starlette_app()).routes}
    assert found == {
        "/a": {"GET", "HEAD"},
        "/class": {"GET"},
        "/m/z/{k:int}": {"POST"},
        "/files/{path:path}": {"GET"},
        "/{path:path}": {"GET"},
    }


@pytest.mark.parametrize(
    "app", [a_starlette_app, lambda: chaosapi.ChaosMiddleware(a_plain_app, settings=QUIET)], ids=["starlette", "plain"]
)
def test_a_reset_is_a_tcp_reset_in_library_mode(serve: Serve, app: Callable[[], ASGIApp]) -> None:
    """The outermost middleware has access to the connection."""
    client = serve(app())
    inject(client, {"type": "reset"})
    with socket.create_connection((client.base_url.host, client.base_url.port or 0)) as raw:
        raw.sendall(b"GET /a HTTP/1.1\r\nhost: localhost\r\n\r\n")
        with pytest.raises(ConnectionResetError):
            raw.recv(1)


def test_websockets_pass_untouched() -> None:
    """With any faults."""
    with TestClient(a_starlette_app(), base_url="http://localhost") as client:
        inject(client, {"type": "error"})
        assert client.get("/a").status_code == 503
        with client.websocket_connect("/ws") as ws:
            ws.send_text("hello")
            assert ws.receive_text() == "hello"
        answer = client.post("/admin/faults", json={"effect": {"type": "error"}, "target": {"routes": ["/ws"]}})
        assert "no HTTP route matches /ws (WebSockets are never hit)" in answer.json()["detail"]


async def a_silent_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Return for other scopes."""
    if scope["type"] == "http":
        await a_plain_app(scope, receive, send)


async def a_listening_app(scope: Scope, receive: Receive, send: Send) -> None:
    """Raise after the first lifespan message."""
    if scope["type"] == "lifespan":
        await receive()
        raise NotImplementedError
    await a_plain_app(scope, receive, send)


@pytest.mark.parametrize("plain", [a_plain_app, a_silent_app, a_listening_app])
def test_a_plain_app_without_a_lifespan_is_served(serve: Serve, plain: ASGIApp) -> None:
    """Whatever its reaction to lifespan; the admin port is open before the first request."""
    settings = Settings(access_log=False, admin_port=0)
    app = chaosapi.ChaosMiddleware(
        plain, routes=["/items/{item}", "/rest/{path:path}"], settings=settings, points=["db"]
    )
    with captured() as logs:
        client = serve(app)
    (url,) = [entry["url"] for entry in logs if entry["event"] == "admin API"]
    with httpx2.Client(base_url=url) as admin:
        inject(admin, {"type": "error"}, target={"routes": ["/items/{item}"]})
        assert client.get("/items/7").status_code == 503
        assert client.get("/rest/of/it").text == "/rest/of/it"
        assert client.get("/admin/faults").json()["detail"] == "there is nothing at /admin"
        assert count(client, "/items/{item}", "503") == 1
        inject(admin, {"type": "error"}, target={"points": ["db"]})
        assert client.get("/rest/of/it").status_code == 500


def test_a_failing_startup_of_the_app_still_fails() -> None:
    """Only apps without lifespan support are completed."""

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        raise ValueError("no database")
        yield

    app = Starlette(lifespan=lifespan)
    chaosapi.install(app, QUIET)
    with pytest.raises(ValueError, match="no database"):
        startup(app)


def test_two_apps_in_one_process_share_nothing() -> None:
    """Neither faults nor counters."""
    one = a_starlette_app()
    other = a_starlette_app()
    with (
        TestClient(one, base_url="http://localhost") as first,
        TestClient(other, base_url="http://localhost") as second,
    ):
        inject(first, {"type": "error"})
        assert (first.get("/a").status_code, second.get("/a").status_code) == (503, 200)
        assert (count(first, "/a", "200"), count(second, "/a", "200")) == (0, 1)
        assert second.get("/admin/faults").json()["faults"] == []


def test_without_a_token_only_loopback_clients_are_admitted() -> None:
    """The service's rule, by the Host header, because the bound address is unknown."""
    with TestClient(a_starlette_app(), base_url="http://shop.example") as client:
        assert client.get("/a").status_code == 200
        assert client.get("/admin/faults").status_code == 403
        assert client.get("/admin/faults", headers={"host": "localhost:8000"}).status_code == 200


def an_app_with(*paths: str) -> Starlette:
    """Return an app with paths of chaosapi."""

    async def theirs(_: Request) -> Response:
        return PlainTextResponse("theirs")

    admin = Mount("/admin", routes=[Route("/users", theirs)])
    return Starlette(routes=[admin, *[Route(path, theirs) for path in paths]])


def startup(app: ASGIApp) -> list[dict[str, Any]]:
    """Return the app's startup error."""
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        said.append(message)

    async def start() -> None:
        await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)

    asyncio.run(start())
    return said


def test_an_app_with_conflicting_paths_fails_at_startup() -> None:
    """The error has the paths and the remedy."""
    app = an_app_with("/metrics")
    chaosapi.install(app, QUIET)
    wrapped = chaosapi.ChaosMiddleware(a_plain_app, routes=["/metrics", "/admin/users"], settings=QUIET)
    for each in (app, wrapped):
        (failed,) = startup(each)
        assert failed["type"] == "lifespan.startup.failed"
        assert "the app answers /admin, /metrics itself" in failed["message"]
        assert "CHAOSAPI_ADMIN_PORT" in failed["message"]


def test_with_an_admin_port_both_serve_their_paths(serve: Serve) -> None:
    """Each on its own port."""
    app = an_app_with("/metrics", "/hooks/mine")
    chaosapi.install(app, Settings(access_log=False, admin_port=0))
    with captured() as logs:
        client = serve(app)
    (url,) = [entry["url"] for entry in logs if entry["event"] == "admin API"]
    for path in ("/metrics", "/admin/users", "/hooks/mine"):
        assert client.get(path).text == "theirs"
    assert "chaosapi_revision" in httpx2.get(f"{url}/admin/metrics").text
    assert httpx2.get(f"{url}/admin/faults").status_code == 200
    assert client.get("/admin/faults").status_code == 404


def test_installation_after_startup_is_refused() -> None:
    """So is a second installation."""
    app = Starlette()
    with TestClient(app):
        pass
    with pytest.raises(RuntimeError, match="has started"):
        chaosapi.install(app, QUIET)
    with pytest.raises(RuntimeError, match="already"):
        chaosapi.install(a_starlette_app(), QUIET)


def test_importing_chaosapi_is_cheap() -> None:
    """`import chaosapi` imports no web framework; unknown names are an AttributeError."""
    script = "import sys, chaosapi; print(*sys.modules); chaosapi.nothing"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert not {"fastapi", "starlette", "pydantic", "asyncio"} & set(done.stdout.split())
    assert "AttributeError: module 'chaosapi' has no attribute 'nothing'" in done.stderr
    assert chaosapi.__all__ == ["ChaosMiddleware", "DependencyError", "RequestIdFilter", "install", "point"]
    assert all(getattr(chaosapi, name) for name in chaosapi.__all__)


def test_server_settings_are_ignored_in_library_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    """CHAOSAPI_PORT may be a Kubernetes service variable, and the host is not chaosapi's."""
    values = {"HOST": "0.0.0.0", "PORT": "tcp://10.0.0.1:8000", "WORKERS": "many", "DRAIN_DELAY": "long"}  # noqa: S104 - as a server's
    for name, value in values.items():
        monkeypatch.setenv(f"CHAOSAPI_{name}", value)
    monkeypatch.setenv("CHAOSAPI_MAX_FAULTS", "1")
    app = FastAPI()
    chaosapi.install(app)
    with TestClient(app, base_url="http://localhost") as client:
        inject(client, {"type": "error"})
        assert client.post("/admin/faults", json={"effect": {"type": "error"}}).status_code == 429


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Settings(), "answers to this machine alone"),
        (Settings(admin_open=True), "CHAOSAPI_ADMIN_OPEN is set"),
        (Settings.model_validate({"admin_token": "secret"}), ""),
    ],
)
def test_the_access_rule_is_logged_at_startup(caplog: pytest.LogCaptureFixture, settings: Settings, said: str) -> None:
    """In the host's log, because the bound address is unknown."""
    app = FastAPI()
    chaosapi.install(app, settings)
    with TestClient(app):
        pass
    chaosapi.ChaosMiddleware(app, settings=settings)
    warnings = [each.getMessage() for each in caplog.records if each.name == "chaosapi"]
    assert len(warnings) == (2 if said else 0)
    assert all(said in each for each in warnings)


def items() -> FastAPI:
    """Return an app with a route, a probe by chaosapi and docs."""
    app = FastAPI()
    chaosapi.install(app, QUIET)

    @app.get("/items")
    def items() -> int:
        return 1

    return app


def below(client: httpx2.Client | TestClient, prefix: str) -> tuple[list[int], int, float]:
    """Fail every user request; return the statuses of probes, metrics, docs and admin API, of a user, and the count."""
    client.post(f"{prefix}/admin/faults", json={"effect": {"type": "error"}}).raise_for_status()
    spared = ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/admin/docs", "/admin/faults")
    answers = [client.get(prefix + path).status_code for path in spared]
    user = client.get(f"{prefix}/items").status_code
    metrics = client.get(f"{prefix}/metrics").text
    counted = re.findall(r'http_requests_total{handler="/items",method="GET",status="503"} (\S+)', metrics)
    return answers, user, float(*counted)


@pytest.mark.parametrize("prefix", ["", "/x"], ids=["stripped", "kept"])
def test_below_a_root_path_only_user_requests_are_hit(prefix: str) -> None:
    """Whether the proxy strips the prefix or not."""
    with TestClient(items(), base_url="http://localhost", root_path="/x", client=("127.0.0.1", 1)) as client:
        assert below(client, prefix) == ([200] * 7, 503, 1)


@pytest.mark.parametrize("prefix", ["", "/x"], ids=["stripped", "kept"])
def test_below_the_apps_root_path_only_user_requests_are_hit(prefix: str) -> None:
    """FastAPI sets it in the scope."""
    app = items()
    app.root_path = "/x"
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        assert below(client, prefix) == ([200] * 7, 503, 1)


def test_below_uvicorns_root_path_only_user_requests_are_hit() -> None:
    """Uvicorn prepends it to each path; if a proxy keeps it too, neither the app nor chaosapi has such a route."""
    with serving(items(), root_path="/x") as client:
        assert below(client, "") == ([200] * 7, 503, 1)
        assert [client.get(f"/x{path}").status_code for path in ("/items", "/healthz", "/admin/faults")] == [404] * 3


async def _parent(_: Request) -> Response:
    return PlainTextResponse("parent")


@pytest.mark.parametrize("parent", [Starlette, FastAPI])
def test_in_a_mount_only_user_requests_are_hit(parent: Callable[..., Starlette]) -> None:
    """Chaosapi's paths are below the mount, and the parent is unaffected."""
    app = parent()
    app.add_route("/healthz", _parent)
    app.mount("/x", items())
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as client:
        assert below(client, "/x") == ([200] * 7, 503, 1)
        assert client.get("/healthz").text == "parent"


def test_a_plain_app_with_a_store_that_does_not_exist_is_refused_when_it_is_made() -> None:
    """Not by its first request."""
    with pytest.raises(SettingsError, match="CHAOSAPI_STORE"):
        chaosapi.ChaosMiddleware(a_plain_app, settings=Settings(store="postgres://db"))
