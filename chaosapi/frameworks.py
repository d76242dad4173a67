"""Compatibility with the releases of FastAPI and Starlette: functions that only some of them have."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Final, Protocol

import fastapi.routing
from fastapi import APIRouter, FastAPI
from starlette import _utils
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute, compile_path
from starlette.types import ASGIApp, Scope

from chaosapi.inner import Place

_BY_PATH: Final = {
    each.matches for each in (Route, Mount, WebSocketRoute, fastapi.routing.APIRoute, fastapi.routing.APIWebSocketRoute)
}
"""Methods that look at the path, the root path and the HTTP method of a request alone."""


def every_route(routes: Sequence[BaseRoute]) -> Iterator[Any]:
    """Yield each route of an app and its included routers, with the full `path`, `methods` and `matches`.

    FastAPI nests routers and has `iter_route_contexts` to walk them; older releases copy an included router's routes
    into one flat list.
    """
    found: Iterator[Any] = getattr(fastapi.routing, "iter_route_contexts", iter)(routes)
    return found


def original(route: Any) -> BaseRoute:
    """Return the route itself of an item that `every_route` yields."""
    found: BaseRoute = getattr(route, "original_route", route)
    return found


def included_router(route: BaseRoute) -> APIRouter | None:
    """Return the router that an item of an app's routes includes; older releases of FastAPI copy its routes instead."""
    found: APIRouter | None = getattr(route, "original_router", None)
    return found


class Layer(Protocol):
    """Makes an inner middleware."""

    def __call__(self, app: ASGIApp, place: Place) -> ASGIApp:
        """Return the app with the middleware around it."""


def add_inner_layers(app: Starlette, layer: Layer) -> None:
    """Let `app`, which has not started, build `layer` into its middleware at both places."""
    build = app.build_middleware_stack

    def build_with_layers() -> ASGIApp:
        router = app.router
        middleware = app.user_middleware
        app.router = layer(router, "handlers")  # type: ignore[assignment]  # only its __call__ is needed here
        app.user_middleware = [*middleware, Middleware(partial(layer, place="middleware"))]
        try:
            return build()
        finally:
            app.router = router
            app.user_middleware = middleware

    app.build_middleware_stack = build_with_layers  # type: ignore[method-assign]  # called once, when the app starts


def matches_by_path(route: BaseRoute) -> bool:
    """Return whether path, root path and HTTP method decide whether the route matches, and no header or code."""
    return type(route).matches in _BY_PATH


def pattern_of(route: Any) -> str:
    """Return the path pattern by which an item that `every_route` yields matches; that of everything if unknown."""
    path = f"{route.path}/{{path:path}}" if isinstance(original(route), Mount) else route.path
    return path if route.path_regex == compile_path(path)[0] else "{path:path}"


def root_path_of(app: ASGIApp) -> str:
    """Return the root path that a FastAPI app sets for each of its requests; empty where it takes the server's."""
    return app.root_path if isinstance(app, FastAPI) else ""


def docs_of(app: ASGIApp) -> frozenset[str]:
    """Return the paths at which a FastAPI app has its docs."""
    if not isinstance(app, FastAPI):
        return frozenset()
    declared = (app.docs_url, app.redoc_url, app.openapi_url, app.swagger_ui_oauth2_redirect_url)
    return frozenset(filter(None, declared))


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    return path


route_path: Final[Callable[[Scope], str]] = getattr(_utils, "get_route_path", _path)
"""Return the path that the app's router matches: without the root path, under which the app is mounted.

A proxy may have stripped the root path already. Releases of Starlette before 0.33 pass the rest of the path to a
mounted app, and know no other root path.
"""
