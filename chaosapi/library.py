"""Chaos for apps that are not ours."""

from collections.abc import Iterable

from fastapi.routing import iter_route_contexts
from starlette.applications import Starlette
from starlette.routing import compile_path
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.chaos import Chaos
from chaosapi.effects.exception import Raise
from chaosapi.routes import Route, RouteTable
from chaosapi.settings import Settings


def install(app: Starlette, settings: Settings | None = None, points: Iterable[str] = ()) -> None:
    """Add faults, metrics and the admin API to a FastAPI or Starlette app, before it serves its first request.

    `settings` are read from CHAOSAPI_* unless given. `points` are the names that the app passes to `chaosapi.point`:
    only those can be targeted. Routes may still be added afterwards. Raises RuntimeError once the app has started.
    """
    chosen, named = settings or Settings(), tuple(points)
    app.add_middleware(Raise)
    inner = app.build_middleware_stack

    # Around the whole stack rather than in it: only there can an effect reach the connection.
    def build() -> ASGIApp:
        return Chaos(chosen, routes_of(app), points=named).around(inner())

    app.build_middleware_stack = build  # type: ignore[method-assign]  # Starlette calls it once, when the app starts


class ChaosMiddleware:
    """The same around any ASGI app, which has no routes to be read: `routes` are their templates.

    `/items/{item_id}` stands for a segment, `/files/{path:path}` for a whole rest; without any, all are one route.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Iterable[str] = ("/{path:path}",),
        settings: Settings | None = None,
        points: Iterable[str] = (),
    ) -> None:
        methods = frozenset({"GET", "POST"})
        table = RouteTable.of(Route(path, compile_path(path)[0], methods, 200) for path in routes)
        self._app = Chaos(settings or Settings(), table, points=tuple(points)).around(Raise(app))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve, as ASGI."""
        await self._app(scope, receive, send)


def routes_of(app: Starlette) -> RouteTable:
    """Read the routes off an app, exempt ones left out."""
    return RouteTable.of(
        Route(
            context.path, context.path_regex, frozenset(context.methods), getattr(context, "status_code", None) or 200
        )
        for context in iter_route_contexts(app.routes)
        if context.path and context.methods
    )
