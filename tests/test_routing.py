"""Routing: the route of a request is the framework's, at little cost."""

import asyncio
import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Match, Mount, WebSocketRoute
from starlette.routing import Route as StarletteRoute
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.frameworks import route_path
from chaosapi.installation import routes_of
from chaosapi.routes import Route
from chaosapi.routing import RouteTable


def request(path: str, method: str = "GET", host: str = "localhost", **more: Any) -> Scope:
    """Return the scope of a request as servers do."""
    headers = [(b"host", host.encode())]
    scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": headers, "query_string": b""}
    return {**scope, **more}


def handler(name: str) -> Any:
    """Return a handler named after its route's template."""

    async def answer() -> Response:
        return PlainTextResponse(name)

    async def answer_request(_: Any) -> Response:
        return PlainTextResponse(name)

    answer.__name__ = answer_request.__name__ = name
    return answer, answer_request


def api(name: str) -> Any:
    """Return a handler for FastAPI."""
    return handler(name)[0]


def page(name: str) -> Any:
    """Return a handler for Starlette."""
    return handler(name)[1]


def taken(app: ASGIApp, scope: Scope) -> str:
    """Call the app; return the name of the handler that its routers chose, `"none"` without one."""

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(_: Message) -> None:
        pass

    async def answer() -> None:
        await app(scope, receive, send)

    asyncio.run(answer())
    return str(getattr(scope.get("endpoint"), "__name__", "none"))


def segments(*names: str) -> st.SearchStrategy[str]:
    """Return paths of these segments."""
    return st.lists(st.sampled_from(names), min_size=1, max_size=3).map(lambda chosen: "/" + "/".join(chosen))


METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT"])
TEMPLATES = segments("a", "b", "a-{x}", "{y}", "{z:path}", "{n:int}", "").filter(lambda path: path.count("{") < 2)
ROUTES = st.lists(st.tuples(TEMPLATES, st.lists(METHODS, min_size=1, max_size=2)), min_size=1, max_size=4)
PATHS = st.tuples(segments("a", "b", "a-1", "c", "7", ""), st.sampled_from(["", "\n", "/", "é", "%2F"])).map("".join)


@settings(deadline=None)
@given(ROUTES, ROUTES, ROUTES, PATHS, METHODS)
def test_the_route_is_the_one_that_the_framework_takes(
    first: list[tuple[str, list[str]]],
    nested: list[tuple[str, list[str]]],
    last: list[tuple[str, list[str]]],
    path: str,
    method: str,
) -> None:
    """A full match of path and method before a partial one, also in a mount or an included router."""
    included = APIRouter()
    starlette = Starlette()
    fastapi = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    inner: list[BaseRoute] = []
    for template, methods in nested:
        included.add_api_route(template, api(f"/m{template}"), methods=methods)
        inner.append(StarletteRoute(template, page(f"/m{template}"), methods=methods))
    for routes in (first, last):
        for template, methods in routes:
            starlette.router.add_route(template, page(template), methods=methods)
            fastapi.add_api_route(template, api(template), methods=methods)
        if routes is first:
            starlette.mount("/m", Starlette(routes=inner))
            fastapi.include_router(included, prefix="/m")
    for app in (starlette, fastapi):
        table = routes_of(app)
        for asked in (path, f"/m{path}"):
            assert table.handler(request(asked, method)) == taken(app, request(asked, method))


def test_the_first_full_match_counts_else_the_first_partial_one() -> None:
    """`GET /users/{user}` is declared before `POST /users/login`."""
    app = FastAPI()
    app.get("/users/{user}")(api("user"))
    app.post("/users/login")(api("login"))
    table = routes_of(app)
    found = {method: table.handler(request("/users/login", method)) for method in ("POST", "GET", "PUT")}
    assert found == {"POST": "/users/login", "GET": "/users/{user}", "PUT": "/users/{user}"}


def test_a_redirect_to_the_path_with_a_slash_has_no_route() -> None:
    """The router responds; the next request has the route."""
    app = Starlette(routes=[StarletteRoute("/a/", page("/a/"))])
    assert [routes_of(app).handler(request(path)) for path in ("/a", "/a/")] == ["none", "/a/"]


@pytest.mark.parametrize("root_path", ["", "/api", "/sub", "/api/sub"])
@pytest.mark.parametrize("outer", ["", "/api"])
@pytest.mark.parametrize("path", ["/sub/items", "/items", "/api/sub/items", "/sub/sub/items", "/sub/api/items"])
def test_a_mounted_app_may_set_a_root_path_of_its_own(root_path: str, outer: str, path: str) -> None:
    """FastAPI then matches the path below that one, and not below the mount."""
    app = FastAPI()
    inner = FastAPI()
    inner.root_path = root_path  # as the parameter, which is deprecated
    inner.get("/items")(api("items"))
    app.mount("/sub", inner)
    status = TestClient(app, root_path=outer).get(path).status_code
    found = routes_of(app).handler({**request(path), "root_path": outer})
    assert found == ("/sub/items" if status == 200 else "none")


def test_host_routes_and_custom_routes_are_matched_for_each_request() -> None:
    """They may depend on more than the path."""

    class Canary(APIRoute):
        """A route for requests with a header."""

        def matches(self, scope: Scope) -> tuple[Match, Scope]:
            if (b"x-canary", b"1") not in scope["headers"]:
                return Match.NONE, {}
            return super().matches(scope)

    app = FastAPI()
    app.router.routes.append(Canary("/{canary}", api("canary")))
    app.host("shop.example", Starlette(routes=[StarletteRoute("/{shop}", page("shop"))]))
    app.get("/a")(api("a"))
    table = routes_of(app)
    assert table.handler(request("/a")) == "/a"
    assert table.handler(request("/a", host="shop.example")) == "/{shop}"
    assert table.handler(request("/a", headers=[(b"x-canary", b"1")])) == "/{canary}"
    assert table.handler(request("/a")) == "/a"


def test_modified_path_patterns_are_used() -> None:
    """Apps do so for case-insensitive routes."""
    app = Starlette(routes=[StarletteRoute("/items/{item}", page("item")), StarletteRoute("/all", page("all"))])
    for route in app.routes:
        route.path_regex = re.compile(route.path_regex.pattern, re.IGNORECASE)  # type: ignore[attr-defined]
    table = routes_of(app)
    assert [table.handler(request(path)) for path in ("/ITEMS/7", "/All")] == ["/items/{item}", "/all"]


def test_a_websocket_is_no_route() -> None:
    async def socket(_: Any) -> None:
        pass

    app = Starlette(routes=[WebSocketRoute("/a", socket), StarletteRoute("/{x}", page("x"))])
    assert routes_of(app).handler(request("/a")) == "/{x}"


def test_an_error_of_a_path_convertor_is_the_routers() -> None:
    """The router raises it for the app."""
    app = Starlette(routes=[StarletteRoute("/{n:int}", page("n"))])
    assert routes_of(app).handler(request("/" + "9" * 5000)) == "none"


@pytest.mark.parametrize("start", ["/static", "/items", "/items/", ""])
@pytest.mark.parametrize("rest", ["/" * 60_000, "a/" * 30_000, "/" + "\n" * 60_000])
def test_long_paths_take_linear_time(start: str, rest: str) -> None:
    """60,000 slashes took more than a second; the framework takes half a millisecond."""
    app = Starlette(routes=[StarletteRoute(f"/items/{{item}}/{n}", page("item")) for n in range(10)])
    app.mount("/static", _anything)
    table = routes_of(app)
    started = time.process_time()
    table.handler(request(start + rest))
    assert time.process_time() - started < 0.1


async def _anything(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("")(scope, receive, send)


@pytest.mark.parametrize("where", ["app", "mounted", "included"])
def test_routes_that_are_added_later_are_found(where: str) -> None:
    """When a request has no route, the table is read again, and subscribers are notified."""
    app = FastAPI()
    inner = FastAPI()
    router = APIRouter()
    app.mount("/mounted", inner)
    app.include_router(router, prefix="/included")
    table = routes_of(app)
    before = table.templates
    read: list[list[str]] = []
    table.subscribe(lambda: read.append(table.templates))
    path = "/late" if where == "app" else f"/{where}/late"
    assert table.handler(request(path)) == "none"
    {"app": app.router, "mounted": inner.router, "included": router}[where].get("/late")(api("late"))
    if where == "included":
        app.include_router(router, prefix="/included")  # older releases of FastAPI copy its routes
    assert table.handler(request(path)) == path
    assert table.handler(request("/never")) == "none"
    assert [set(templates) - set(before) for templates in read] == [{path}]


class CountedList(list[BaseRoute]):
    """Counts how often its items are looked through."""

    walks = 0

    def __iter__(self) -> Iterator[BaseRoute]:
        self.walks += 1
        return super().__iter__()


def test_a_path_without_a_route_does_not_look_through_all_routes() -> None:
    """Neither those of the app nor of its routers: a scan for paths that do not exist must not cost more for many."""
    app = FastAPI()
    inner = FastAPI()
    router = APIRouter()
    router.get("/one")(api("one"))
    app.mount("/mounted", inner)
    app.include_router(router, prefix="/included")
    routes = [CountedList(each.router.routes) for each in (app, inner)]
    app.router.routes, inner.router.routes = routes
    table = routes_of(app)
    walks = [each.walks for each in routes]
    assert [table.handler(request(f"/{where}/never")) for where in ("a", "mounted", "included")] == ["none"] * 3
    assert [each.walks for each in routes] == walks


def test_probes_of_an_app_whose_routes_are_unknown_are_exempt() -> None:
    """No target can match them."""
    app = Starlette(routes=[Mount("/legacy", app=_anything), StarletteRoute("/users/{user}", page("user"))])
    table = routes_of(app)
    found = [table.handler(request(path)) for path in ("/legacy/health", "/legacy/a", "/users/health")]
    assert found == [None, "/legacy/{path:path}", "/users/{user}"]


def test_a_table_of_templates_matches_any_method() -> None:
    """Raw ASGI apps have no other routes."""
    table = RouteTable.of([Route("/items/{item}"), Route("/healthz", exempt=True)])
    assert table.handler(request("/items/7", "BREW")) == "/items/{item}"
    assert table.handler(request("/healthz")) is None
    assert table.templates == ["/items/{item}"]


@given(st.text("/xy", max_size=8).map("/".__add__), st.text("/xy", max_size=4))
def test_the_route_path_is_that_of_the_framework(path: str, root: str) -> None:
    """Whether the path starts with the root path, with a part of it, or not."""
    scope = request(path, root_path=root)
    (found, added) = StarletteRoute("/{rest:path}", page("rest")).matches(scope)
    seen = "/" + added["path_params"]["rest"] if found is Match.FULL else route_path(scope)
    assert route_path(scope) == seen


def test_without_a_root_path_the_path_stays() -> None:
    """The scope may lack it."""
    assert route_path({"path": "/x/y"}) == "/x/y"


DECLARED = FastAPI(docs_url="/api/docs", redoc_url="/api/redoc", openapi_url="/api/openapi.json")


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/api/docs", None),
        ("/api/redoc", None),
        ("/api/openapi.json", None),
        ("/docs/oauth2-redirect", None),
        ("/sub/api/docs", None),
        ("/docs/7", "/docs/{doc}"),
        ("/docs/7/x", None),
        ("/internal/a", None),
        ("/b", "/b"),
    ],
)
def test_the_apps_docs_are_exempt(path: str, route: str | None) -> None:
    """Also those of a mounted app; a route in its schema below /docs is not exempt."""
    docs = {"docs_url": "/api/docs", "redoc_url": "/api/redoc", "openapi_url": "/api/openapi.json"}
    app, inner = FastAPI(**docs), FastAPI(**docs)  # type: ignore[arg-type]
    for template in ("/docs/{doc}", "/internal/a", "/b"):
        app.get(template)(api(template))
    app.mount("/sub", inner)
    table = routes_of(app, ["/internal"])
    assert table.handler(request(path)) == route
    assert table.templates == ["/docs/{doc}", "/b"]
