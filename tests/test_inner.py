"""Injected responses pass through the app's own middleware: as browsers and the app's exception handlers see them."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import PlainTextResponse, StreamingResponse
from fastapi.testclient import TestClient
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

import chaosapi
from chaosapi.settings import Settings

SITE = "https://shop.example"
PREFLIGHT = {"origin": SITE, "access-control-request-method": "PUT"}
LIMIT = {"type": "rate_limit", "requests_per_second": 0.001, "burst": 1}


class OutOfStockError(Exception):
    """An exception class of the app."""


async def sorry(request: Request, error: Exception) -> Response:
    """Return the exception and the app that handled it."""
    return PlainTextResponse(f"{type(error).__name__}: {error}", 418, {"x-handled-by": request.app.title})


def an_app(title: str = "outer", *, cors: bool = True) -> FastAPI:
    """Return an app with its own exception handlers."""
    app = FastAPI(title=title)
    app.add_exception_handler(RuntimeError, sorry)
    app.add_exception_handler(OutOfStockError, sorry)
    if cors:
        app.add_middleware(CORSMiddleware, allow_origins=[SITE], allow_methods=["*"])

    @app.get("/item")
    @app.put("/item")
    async def item() -> str:
        return title

    @app.get("/stream")
    async def stream() -> StreamingResponse:
        return StreamingResponse(iter(["a", "b"]))

    return app


@contextmanager
def serving(app: Starlette) -> Iterator[TestClient]:
    """Start the app with chaosapi installed."""
    chaosapi.install(app, Settings(access_log=False, mark_responses=True))
    with TestClient(app, base_url="http://localhost", raise_server_exceptions=False) as client:
        yield client


def inject(client: TestClient, effect: dict[str, Any], **fault: Any) -> None:
    """Inject the fault `f`."""
    client.put("/admin/faults/f", json={"effect": effect, **fault}).raise_for_status()


def counts(client: TestClient) -> tuple[int, int, int]:
    """Return how many requests the fault matched, injected and skipped."""
    receipt = client.get("/admin/faults/f").json()["receipt"]
    return receipt["matched"], receipt["injected"], receipt["skipped"]


@pytest.mark.parametrize("installed_first", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("path", ["/item", "/stream"])
def test_an_injected_error_has_the_apps_cors_headers(path: str, when: str, installed_first: bool) -> None:  # noqa: FBT001 - a table
    """For any position of `install` among the app's middlewares, for plain and streamed responses."""
    app = an_app(cors=not installed_first)
    chaosapi.install(app, Settings(access_log=False))
    if installed_first:
        app.add_middleware(CORSMiddleware, allow_origins=[SITE])
    with TestClient(app, base_url="http://localhost") as client:
        inject(client, {"type": "error", "when": when})
        answer = client.get(path, headers={"origin": SITE})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (503, SITE)
        assert counts(client) == (1, 1, 0)


@pytest.mark.parametrize(
    ("method", "path"), [("HEAD", "/item"), ("GET", "/nowhere"), ("GET", "/teapot"), ("GET", "/bug"), ("GET", "/typed")]
)
def test_an_error_after_the_handler_replaces_any_response(method: str, path: str) -> None:
    """A 405, a handled exception, the app's 500, a validation error; an unknown path has no route."""
    app = an_app()

    @app.get("/teapot")
    async def teapot() -> None:
        raise OutOfStockError

    @app.get("/bug")
    async def bug() -> None:
        raise ZeroDivisionError

    @app.get("/typed")
    async def typed(number: int) -> int:
        return number

    with serving(app) as client:
        inject(client, {"type": "error", "when": "after", "status": 503})
        status = client.request(method, path).status_code
        matched = int(path != "/nowhere")
        assert (status, *counts(client)) == (503 if matched else 404, matched, matched, 0)


@pytest.mark.parametrize(("effect", "status"), [(LIMIT, 429), ({"type": "exception"}, 418)], ids=["limit", "exception"])
def test_other_injected_responses_have_them_too(effect: dict[str, Any], status: int) -> None:
    """A browser hides the status from a page without these headers."""
    with serving(an_app()) as client:
        inject(client, effect)
        answers = [client.get("/item", headers={"origin": SITE}) for _ in range(2)]
        assert (answers[1].status_code, answers[1].headers["access-control-allow-origin"]) == (status, SITE)


def test_a_preflight_is_not_hit_unless_a_fault_names_options() -> None:
    """A browser's request rolls the dice once; other OPTIONS requests may be hit."""
    with serving(an_app()) as client:
        inject(client, {"type": "error"})
        assert client.options("/item", headers=PREFLIGHT).status_code == 200
        assert client.put("/item", headers={"origin": SITE}).status_code == 503
        assert counts(client) == (1, 1, 0)
        assert client.options("/item").status_code == 503
        delay = {"type": "latency", "distribution": {"type": "constant", "value": "1ms"}}
        inject(client, delay, target={"methods": ["OPTIONS"]})
        client.options("/item", headers=PREFLIGHT)
        assert counts(client) == (1, 1, 0)


def test_a_request_that_the_apps_middleware_answers_is_skipped() -> None:
    """An unauthorized user gets 401 with any faults, and the receipt does not count an injection."""
    app = an_app()

    @app.middleware("http")
    async def refuse(request: Request, call_next: Callable[[Request], Awaitable[Response]]) -> Response:
        return await call_next(request) if "authorization" in request.headers else Response(status_code=401)

    with serving(app) as client:
        inject(client, {"type": "error"})
        assert client.get("/item").status_code == 401
        assert client.get("/item", headers={"authorization": "x"}).status_code == 503
        assert counts(client) == (2, 1, 1)
        assert 'reason="app_answered"} 1.0' in client.get("/admin/metrics", headers={"authorization": "x"}).text


@pytest.mark.parametrize(
    ("raises", "handled"),
    [
        (None, "RuntimeError: boom"),
        ("RuntimeError", "RuntimeError: boom"),
        ("RecursionError", "RecursionError: boom"),
        ("tests.test_inner.OutOfStockError", "OutOfStockError: boom"),
    ],
)
def test_the_apps_handler_for_the_class_answers(raises: str | None, handled: str) -> None:
    """As for the app's own exceptions; the mark names the fault."""
    with serving(an_app()) as client:
        inject(client, {"type": "exception", "message": "boom", "raises": raises})
        answer = client.get("/item")
        assert (answer.status_code, answer.text, answer.headers["x-chaos-fault"]) == (418, handled, "f")


def test_a_class_without_a_handler_is_the_apps_own_500() -> None:
    """As for a bug."""
    with serving(an_app()) as client:
        inject(client, {"type": "exception", "raises": "TimeoutError"})
        assert client.get("/item").status_code == 500
        assert counts(client) == (1, 1, 0)


@pytest.mark.parametrize(
    ("raises", "why"),
    [
        ("NoSuchError", "there is no NoSuchError"),
        ("antigravity.NoError", "there is no antigravity.NoError"),
        ("os.getcwd", "no exception class"),
        ("SystemExit", "no exception class"),
        ("KeyboardInterrupt", "no exception class"),
        ("StopIteration", "no exception class"),
        ("UnicodeDecodeError", "cannot be made from a message alone"),
        ("a b", "pattern"),
    ],
)
def test_an_invalid_exception_class_is_refused(raises: str, why: str) -> None:
    """With the reason, and without importing anything."""
    with serving(an_app()) as client:
        answer = client.post("/admin/faults", json={"effect": {"type": "exception", "raises": raises}})
        (error,) = answer.json()["errors"]
        assert (answer.status_code, error["field"]) == (422, "effect.raises")
        assert why in error["message"]


def a_mounting_app() -> FastAPI:
    """Return an app whose mounted app has its own middleware and handlers, and a route before the mount."""
    app = an_app(cors=False)

    @app.get("/sub/own")
    async def own() -> str:
        return "outer"

    router = APIRouter()
    router.mount("/sub", an_app("inner"))
    app.mount("/sub", an_app("inner"))
    app.include_router(router, prefix="/included")

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        app.mount("/late", an_app("inner"))
        yield

    app.router.lifespan_context = lifespan
    return app


@pytest.mark.parametrize(
    ("path", "by", "cors"),
    [
        ("/sub/item", "inner", SITE),
        ("/included/sub/item", "inner", SITE),
        ("/late/item", "inner", SITE),
        ("/sub/own", "outer", None),
    ],
)
def test_a_mounted_app_handles_what_hits_its_routes(path: str, by: str, cors: str | None) -> None:
    """And only what hits its routes, whether it was mounted in the app, in a router of it, or when the app starts."""
    with serving(a_mounting_app()) as client:
        if path.startswith("/included") and client.get(path).status_code == 404:
            pytest.skip("this FastAPI leaves out the mounts of included routers")
        for effect, status in (({"type": "error"}, 503), ({"type": "exception"}, 418)):
            inject(client, effect)
            answer = client.get(path, headers={"origin": SITE})
            assert answer.status_code == status
            assert answer.headers.get("access-control-allow-origin") == cors
            assert counts(client) == (1, 1, 0)
        assert answer.headers["x-handled-by"] == by


def test_starlette_apps_behave_the_same() -> None:
    """Also mounted ones, with middleware as a constructor argument."""

    async def page(_: Request) -> Response:
        return PlainTextResponse("fine")

    cors = [Middleware(CORSMiddleware, allow_origins=[SITE])]
    inner = Starlette(routes=[Route("/page", page)], middleware=cors)
    app = Starlette(routes=[Mount("/sub", inner), Route("/page", page)])
    with serving(app) as client:
        inject(client, {"type": "error"})
        assert "access-control-allow-origin" in client.get("/sub/page", headers={"origin": SITE}).headers
        assert client.get("/page").status_code == 503
