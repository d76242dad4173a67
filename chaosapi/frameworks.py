"""Compatibility with the releases of FastAPI: functions that only some of them have."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import fastapi.routing
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp


def every_route(routes: Sequence[BaseRoute]) -> Iterator[Any]:
    """Yield each route of an app and its included routers, with the full `path`, `methods` and `path_regex`.

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
