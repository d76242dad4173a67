"""Library mode: the requests that faults hit, the exempt paths, and the URLs of chaosapi's own paths."""

import asyncio
import re
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Host, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

import chaosapi
from chaosapi.app import create_app
from chaosapi.settings import Settings

QUIET = Settings(access_log=False)


def client_of(app: ASGIApp, **options: Any) -> TestClient:
    """Return a client in the same process."""
    return TestClient(app, base_url="http://localhost", **options)


def inject(client: TestClient, *routes: str, prefix: str = "") -> None:
    """Fail all requests, or those to these routes."""
    target = {"routes": list(routes)} if routes else {}
    body = {"name": "f", "effect": {"type": "error"}, "target": target}
    client.post(f"{prefix}/admin/faults", json=body).raise_for_status()


def counted(client: TestClient, prefix: str = "") -> dict[tuple[str, str], int]:
    """Return how many requests were answered, by handler and status."""
    text = client.get(f"{prefix}/metrics").text
    found = re.findall(
        r'^http_requests_total\{handler="(.*?)",method=".*?",status="(\d+)"\} (\S+)$', text, re.MULTILINE
    )
    return {(handler, status): int(float(number)) for handler, status, number in found if float(number)}


async def page(_: Request) -> Response:
    """Answer."""
    return PlainTextResponse("fine")


async def raw(scope: Scope, receive: Receive, send: Send) -> None:
    """Respond to HTTP only."""
    if scope["type"] != "http":
        raise NotImplementedError
    await PlainTextResponse("fine")(scope, receive, send)


def users() -> FastAPI:
    """Return an app whose routes overlap."""
    app = FastAPI()
    inner = FastAPI()
    versioned = APIRouter(prefix="/v1")
    for add, path in (
        (app.get, "/users/{user}"),
        (app.post, "/users/login"),
        (app.put, "/{thing}/login"),
        (inner.get, "/deep/{name}"),
        (inner.post, "/deep/new"),
        (versioned.get, "/items/{item}"),
        (versioned.post, "/items/search"),
        (app.get, "/int"),
        (app.get, "/é/ü"),
        (app.get, "/int/{n}/x"),
    ):
        add(path)(page_without_request)
    app.include_router(versioned, prefix="/api")
    app.mount("/inner", inner)
    app.host("shop.example", Starlette(routes=[Route("/int", page)]))
    app.router.routes.insert(0, app.router.routes.pop())
    return app


async def page_without_request() -> str:
    """Answer, for FastAPI."""
    return "fine"


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/users/login", "/users/login"),
        ("GET", "/users/login", "/users/{user}"),
        ("PUT", "/users/login", "/{thing}/login"),
        ("DELETE", "/users/login", "/users/{user}"),
        ("POST", "/inner/deep/new", "/inner/deep/new"),
        ("GET", "/inner/deep/new", "/inner/deep/{name}"),
        ("POST", "/api/v1/items/search", "/api/v1/items/search"),
        ("PATCH", "/api/v1/items/search", "/api/v1/items/{item}"),
        ("GET", "/int%0A", "/int"),
        ("GET", "/%C3%A9/%C3%BC", "/é/ü"),
        ("GET", "/int/a%0A/x", "/int/{n}/x"),
    ],
)
def test_a_fault_hits_the_route_that_the_router_takes(method: str, path: str, route: str) -> None:
    """Whether or not the route allows the method; metrics have the same route."""
    app = users()
    chaosapi.install(app, QUIET)
    with client_of(app) as client:
        inject(client, route)
        assert client.request(method, path).status_code == 503
        assert counted(client) == {(route, "503"): 1}
        assert client.get("/admin/faults/f").json()["receipt"]["matched"] == 1


@pytest.mark.parametrize("path", ["/int%0A%0A", "/int/", "//int", "/int%2F", "/INT", "/int%00"])
def test_a_request_without_a_route_is_not_hit(path: str) -> None:
    """The app responds with 404 or a redirect."""
    app = users()
    chaosapi.install(app, QUIET)
    with client_of(app) as client:
        inject(client)
        assert client.get(path, follow_redirects=False).status_code in {307, 404}
        assert {handler for handler, _ in counted(client)} == {"none"}


def test_host_routes_are_distinguished() -> None:
    """The same path is another route for another host."""
    app = users()
    app.router.routes[0] = Host("shop.example", Starlette(routes=[Route("/{page}", page)]))
    chaosapi.install(app, QUIET)
    with client_of(app) as client:
        inject(client, "/{page}")
        answers = [client.get("/int", headers={"host": host}).status_code for host in ("shop.example", "x.example")]
        assert answers == [503, 200]


def late_app(*paths: str, settings: Settings = QUIET) -> FastAPI:
    """Return an app that adds routes of these paths, and an included router, in its lifespan."""
    closed: list[bool] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        router = APIRouter(prefix="/late")
        router.get("/{item}")(page_without_request)
        app.include_router(router)
        for path in paths:
            app.get(path)(page_without_request)
        yield
        closed.append(True)

    app = FastAPI(lifespan=lifespan)
    app.state.closed = closed
    chaosapi.install(app, settings)
    return app


def test_routes_that_are_added_in_the_lifespan_are_hit_and_counted() -> None:
    """From the first request on; their series start at 0."""
    with client_of(late_app("/added")) as client:
        metrics = client.get("/metrics").text
        assert 'http_requests_total{handler="/late/{item}",method="GET",status="503"} 0.0' in metrics
        inject(client, "/late/{item}")
        assert (client.get("/late/1").status_code, client.get("/added").status_code) == (503, 200)


def test_a_fault_on_all_routes_hits_a_later_route() -> None:
    """The route is found at its first request."""
    app = late_app()
    with client_of(app) as client:
        inject(client)
        app.get("/new")(page_without_request)
        assert client.get("/new").status_code == 503
        assert counted(client) == {("/new", "503"): 1}


def test_paths_that_are_added_while_the_app_runs_do_not_take_chaosapis_away() -> None:
    """The kill switch answers whatever the app has by then."""
    app = late_app()
    with client_of(app) as client:
        inject(client)
        for path in ("/admin/faults", "/metrics", "/hooks/mine", "/new"):
            app.get(path)(page_without_request)
        assert client.get("/new").status_code == 503
        assert "chaosapi_revision" in client.get("/admin/metrics").text
        assert client.delete("/admin/faults").json()["ended"] == 1


@pytest.mark.parametrize("path", ["/metrics", "/admin/users", "/hooks/mine"])
def test_lifespan_routes_must_not_conflict_with_chaosapis(path: str) -> None:
    """The app is shut down, and startup fails with the reason."""
    app = late_app(path)
    sent: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "lifespan.startup"}

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(_lifespan(app, receive, send))
    (failed,) = sent
    assert failed["type"] == "lifespan.startup.failed"
    assert "CHAOSAPI_ADMIN_PORT" in failed["message"]
    assert app.state.closed == [True]


async def _lifespan(app: ASGIApp, receive: Any, send: Any) -> None:
    await app({"type": "lifespan", "asgi": {"version": "3.0"}, "state": {}}, receive, send)


def test_with_an_admin_port_the_apps_metrics_route_stays() -> None:
    """A route that the lifespan adds is not replaced."""
    with client_of(late_app("/metrics", settings=Settings(access_log=False, admin_port=0))) as client:
        assert client.get("/metrics").json() == "fine"


PROBES = ("/health", "/livez", "/api/ready", "/ping", "/-/healthy", "/internal/HealthCheck")


def test_probes_docs_and_exempt_paths_are_not_hit() -> None:
    """As the app declares them, also in mounts; other routes are hit."""
    docs = {"docs_url": "/api/docs", "openapi_url": "/api/openapi.json", "redoc_url": None}
    app = FastAPI(**docs)  # type: ignore[arg-type]
    inner = FastAPI()
    for path in (*PROBES, "/internal/jobs/{job}", "/status", "/users"):
        app.get(path)(page_without_request)
    app.mount("/inner", inner)
    chaosapi.install(app, Settings(access_log=False, exempt=("/internal/jobs/*", "/status")))
    spared = (
        *PROBES,
        "/api/docs",
        "/api/openapi.json",
        "/inner/docs",
        "/inner/openapi.json",
        "/internal/jobs/7",
        "/status",
    )
    with client_of(app) as client:
        inject(client)
        assert {path: client.get(path).status_code for path in spared} == dict.fromkeys(spared, 200)
        assert client.get("/users").status_code == 503
        assert counted(client) == {("/users", "503"): 1, **{(path, "200"): 1 for path in PROBES}}


@pytest.mark.parametrize(
    "agent",
    ["kube-probe/1.36", "GoogleHC/1.0", "ELB-HealthChecker/2.0", "Envoy/HC", "Consul Health Check", "Prometheus/3.6"],
)
def test_probe_user_agents_are_not_hit_on_any_route(agent: str) -> None:
    """The SLI metrics do not count them."""
    app = users()
    chaosapi.install(app, QUIET)
    with client_of(app) as client:
        inject(client)
        assert client.get("/int", headers={"user-agent": agent}).status_code == 200
        assert client.get("/int", headers={"user-agent": f"not {agent}"}).status_code == 503
        assert counted(client) == {("/int", "503"): 1}


@pytest.mark.parametrize(("target", "status"), [("/health", 503), ("/heal*", None), ("/*", 200), ("/internal/x", None)])
def test_only_a_target_that_names_a_probe_hits_it(target: str, status: int | None) -> None:
    """A glob does not; a target without any route is refused, like one of an exempt path."""
    app = FastAPI()
    for path in ("/health", "/internal/x", "/users"):
        app.get(path)(page_without_request)
    chaosapi.install(app, Settings(access_log=False, exempt=("/internal",)))
    with client_of(app) as client:
        body = {"effect": {"type": "error"}, "target": {"routes": [target]}}
        answer = client.post("/admin/faults", json=body)
        assert answer.status_code == (201 if status else 422)
        assert status is None or client.get("/health").status_code == status


def test_exempt_paths_of_a_raw_app_are_matched_by_path() -> None:
    """It has one route for all paths."""
    app = chaosapi.ChaosMiddleware(raw, settings=Settings(access_log=False, exempt=("/internal/*", "/status")))
    with client_of(app) as client:
        inject(client)
        answers = [client.get(path).status_code for path in ("/status", "/internal/a/b", "/statuses", "/x")]
        assert answers == [200, 200, 503, 503]


@pytest.mark.parametrize(("text", "paths"), [("/a,/b/*", ("/a", "/b/*")), ('["/a"]', ("/a",)), ("", ())])
def test_exempt_paths_are_read_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, text: str, paths: Sequence[str]
) -> None:
    """Comma-separated, or as JSON."""
    monkeypatch.setenv("CHAOSAPI_EXEMPT", text)
    assert Settings().exempt == paths


def rooted(**options: Any) -> FastAPI:
    """Return an app with a mounted app."""
    app = FastAPI(**options)
    inner = FastAPI()
    app.get("/items")(page_without_request)
    inner.get("/deep")(page_without_request)
    app.mount("/inner", inner)
    chaosapi.install(app, QUIET)
    return app


def mounted() -> Starlette:
    """Mount such an app in an app without chaosapi."""
    return Starlette(routes=[Mount("/svc", rooted())])


@pytest.mark.filterwarnings("ignore:The `root_path` parameter is deprecated")
@pytest.mark.parametrize(
    ("make", "root_path"),
    [(rooted, "/svc"), (lambda: rooted(root_path="/svc"), ""), (mounted, "")],
    ids=["server", "app", "mounted"],
)
def test_everything_works_below_a_root_path_that_the_proxy_keeps(make: Callable[[], ASGIApp], root_path: str) -> None:
    """Admin API, metrics, probes, docs, faults and labels; `Location` has the right prefix."""
    with client_of(make(), root_path=root_path) as client:
        made = client.post("/svc/admin/faults", json={"effect": {"type": "error"}})
        assert client.get(made.headers["location"]).json()["name"] == made.json()["name"]
        assert client.get("/svc/items").status_code == client.get("/svc/inner/deep").status_code == 503
        assert counted(client, "/svc") == {("/items", "503"): 1, ("/inner/deep", "503"): 1}
        for path in ("/healthz", "/readyz", "/docs", "/inner/docs", "/admin/docs", "/metrics"):
            assert client.get(f"/svc{path}").status_code == 200
        assert client.delete("/svc/admin/faults").status_code == 200
        assert client.get("/svc/items").status_code == 200


@pytest.mark.parametrize(
    ("root_path", "path"),
    [("", "/svc/metrics"), ("/svc", "/svc/svc/admin/faults"), ("/svc", "/svc/svc/items"), ("/other", "/svc/readyz")],
)
def test_a_wrong_prefix_is_logged_once(caplog: pytest.LogCaptureFixture, root_path: str, path: str) -> None:
    """Requests for chaosapi's paths arrive with a prefix at which neither the app nor chaosapi is served."""
    with client_of(rooted(), root_path=root_path) as client:
        client.get("/nothing")
        assert not [each for each in caplog.records if "prefix" in each.getMessage()]
        assert [client.get(path).status_code for _ in range(2)] == [404, 404]
    (said,) = [each.getMessage() for each in caplog.records if "prefix" in each.getMessage()]
    assert repr(path) in said
    assert repr(root_path) in said


@pytest.mark.parametrize(("root_path", "prefix"), [("", "/svc"), ("/svc", "/svc/svc")])
def test_below_a_wrong_prefix_the_404_explains_itself(root_path: str, prefix: str) -> None:
    """The app has no such route; all other paths belong to the app."""
    with client_of(rooted(), root_path=root_path) as client:
        answer = client.post(f"{prefix}/admin/faults", json={"effect": {"type": "error"}})
        assert answer.status_code == 404
        assert f"begin after the root path {root_path!r}" in answer.json()["detail"]
        assert client.get(f"{prefix}/healthz").json() == {"detail": "Not Found"}


@pytest.mark.parametrize("prefix", ["", "/svc"], ids=["stripped", "kept"])
def test_templates_of_a_raw_app_match_below_its_root_path(prefix: str) -> None:
    """No framework strips the root path."""
    app = chaosapi.ChaosMiddleware(raw, routes=["/items/{item}", "/files/{path:path}"], settings=QUIET)
    with client_of(app, root_path="/svc") as client:
        inject(client, "/items/{item}", prefix=prefix)
        answers = [client.get(f"{prefix}{path}").status_code for path in ("/items/7", "/files/a/b", "/items/7%0A")]
        assert answers == [503, 200, 503]
        assert counted(client, prefix) == {("/items/{item}", "503"): 2, ("/files/{path:path}", "200"): 1}


def test_exempt_paths_of_the_shop_are_not_hit() -> None:
    """The setting applies to the service too."""
    with client_of(create_app(Settings(access_log=False, exempt=("/api/products",)))) as client:
        inject(client)
        assert client.get("/api/products/p-0001").status_code == 200
        assert client.get("/api/nothing").status_code == 404
        assert client.post("/api/checkout", json={}).status_code == 503
