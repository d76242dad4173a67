"""Compatibility with the releases of FastAPI: functions that only some of them have."""

from collections.abc import Iterator, Sequence
from typing import Any

import fastapi.routing
from starlette.routing import BaseRoute


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
