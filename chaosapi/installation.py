"""Chaos for apps that are not ours."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Mount, WebSocketRoute, compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.frameworks import every_route, original
from chaosapi.injected_error import Raise
from chaosapi.routes import Route, RouteTable
from chaosapi.settings import Settings

_REST = "/{path:path}"
_LOG: Final = logging.getLogger("chaosapi")


def install(app: Starlette, settings: Settings | None = None, points: Iterable[str] = ()) -> None:
    """Add faults, metrics and the admin API to a FastAPI or Starlette app, before it serves its first request.

    `settings` are read from CHAOSAPI_* unless given, without those of the server: its host, port, workers and drain
    delay. `points` are the names that the app passes to `chaosapi.point`: only those can be targeted. Routes may still
    be added afterwards. Raises RuntimeError where the app has started, or has chaosapi already.

    An app that has /admin, /hooks or /metrics itself keeps them where CHAOSAPI_ADMIN_PORT gives ours another port, and
    does not start otherwise.
    """
    if app.middleware_stack is not None:
        raise RuntimeError("the app has started: call chaosapi.install right after it is made")
    present: list[object] = [middleware.cls for middleware in app.user_middleware]
    if Raise in present:
        raise RuntimeError("chaosapi is installed in this app already")
    chosen = settings or _of_guest()
    named = tuple(points)
    app.add_middleware(Raise)
    inner = app.build_middleware_stack

    # Around the whole stack rather than in it: only there can an effect reach the connection.
    def build() -> ASGIApp:
        from chaosapi.wiring import Chaos

        _warn(chosen)
        return Chaos(chosen, routes_of(app), points=named).around(inner())

    app.build_middleware_stack = build  # type: ignore[method-assign]  # Starlette calls it once, when the app starts


class ChaosMiddleware:
    """The same around any ASGI app, which has no routes to be read: `routes` are their templates.

    `/items/{item_id}` stands for a segment, `/files/{path:path}` for a whole rest; without any, all are one route.
    Name the app's own /healthz, /readyz or /metrics among them, or ours will answer.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Iterable[str] = (_REST,),
        settings: Settings | None = None,
        points: Iterable[str] = (),
    ) -> None:
        from chaosapi.wiring import Chaos

        table = RouteTable.of(_route(path, ("GET", "POST")) for path in routes)
        chosen = settings or _of_guest()
        _warn(chosen)
        self._app = Chaos(chosen, table, points=tuple(points)).around(Raise(app))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, as ASGI."""
        await self._app(scope, receive, send)


def _of_guest() -> Settings:
    """Read the settings from the environment, without those of the server, which is somebody else's here."""
    return Settings(host="127.0.0.1", port=0, workers=1, drain_delay=0)


def _warn(settings: Settings) -> None:
    """Say who may steer, since the address that the server listens on is not known here."""
    if settings.admin_open:
        _LOG.warning("chaosapi: CHAOSAPI_ADMIN_OPEN is set: whoever reaches /admin may inject faults")
    elif settings.admin_token is None:
        _LOG.warning(
            "chaosapi: /admin answers to this machine alone, and through no proxy: for others set CHAOSAPI_ADMIN_TOKEN"
        )


def routes_of(app: Starlette) -> RouteTable:
    """Read the routes off an app and what is mounted in it, exempt ones left out."""
    return RouteTable.of(_routes_in(app.routes))


def _routes_in(routes: Sequence[BaseRoute], prefix: str = "") -> Iterator[Route]:
    for each in every_route(routes):
        route = original(each)
        path = prefix + (getattr(each, "path", "") or "")
        methods = getattr(each, "methods", None) or ("GET",)
        if isinstance(route, (Mount, Host)):
            inner = route.routes  # none where it is not a Starlette app
            yield from _routes_in(inner, path) if inner else [_route(path + _REST)]
        elif not isinstance(route, WebSocketRoute):
            yield _route(path, methods, getattr(each, "status_code", None) or 200)


def _route(path: str, methods: Iterable[str] = ("GET",), success: int = 200) -> Route:
    return Route(path, compile_path(path)[0], frozenset(methods), success)
