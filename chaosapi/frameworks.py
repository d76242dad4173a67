"""Compatibility with the releases of FastAPI and Starlette: functions that only some of them have."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import fastapi.routing
from fastapi import FastAPI
from starlette import _utils
from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute, compile_path
from starlette.types import ASGIApp, Scope

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


def wrap_router(app: Starlette, wrap: Callable[[ASGIApp], ASGIApp]) -> None:
    """Let `app`, which has not started, put its middleware around `wrap(router)` instead of its router."""
    build = app.build_middleware_stack

    def build_around() -> ASGIApp:
        router = app.router
        app.router = wrap(router)  # type: ignore[assignment]  # only its __call__ is needed here
        try:
            return build()
        finally:
            app.router = router

    app.build_middleware_stack = build_around  # type: ignore[method-assign]  # called once, when the app starts


def matches_by_path(route: BaseRoute) -> bool:
    """Return whether path, root path and HTTP method decide whether the route matches, and no header or code."""
    return type(route).matches in _BY_PATH


def pattern_of(route: Any) -> str:
    """Return the path pattern by which an item that `every_route` yields matches; that of everything if unknown."""
    path = f"{route.path}/{{path:path}}" if isinstance(original(route), Mount) else route.path
    return path if route.path_regex == compile_path(path)[0] else "{path:path}"


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
