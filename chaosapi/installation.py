"""Install chaosapi in any FastAPI, Starlette or ASGI app."""

import logging
import threading
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Host, Match, Mount, WebSocketRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.frameworks import (
    add_inner_layers,
    docs_of,
    every_route,
    included_router,
    matches_by_path,
    original,
    pattern_of,
    root_path_of,
)
from chaosapi.inner import InnerMiddleware, Place
from chaosapi.routes import DOCS, Route, exempt, first_segment
from chaosapi.routing import Entry, HasRoutes, Router, RouteTable, start_of
from chaosapi.settings import Settings, SettingsError

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

_REST = "/{path:path}"
_LOG: Final = logging.getLogger("chaosapi")


def install(
    app: Starlette,
    settings: Settings | None = None,
    points: Iterable[str] = (),
    registry: "Collector | None" = None,
) -> None:
    """Add faults, metrics and the admin API to a FastAPI or Starlette app, before it serves its first request.

    `settings` are read from CHAOSAPI_* unless given, without those of the server: its host, port, workers and drain
    delay. `points` are the names that the app passes to `chaosapi.point`: only those can be targeted. Routes may still
    be added afterwards. `registry` has the app's own metrics, for `/metrics`; unless given, prometheus-client's default
    registry has. Raises RuntimeError if the app has started, or has chaosapi installed already.

    An app with its own /admin, /hooks or /metrics needs CHAOSAPI_ADMIN_PORT, which moves chaosapi's to another port;
    without that setting such an app does not start.
    """
    if app.middleware_stack is not None:
        raise RuntimeError("the app has started: call chaosapi.install right after it is made")
    if isinstance(app.build_middleware_stack, _Installed):
        raise RuntimeError("chaosapi is installed in this app already")  # noqa: TRY004 - no matter of types
    chosen = settings or _of_guest()
    named = tuple(points)
    add_inner_middleware(app)
    app.build_middleware_stack = _Installed(app, chosen, named, registry)  # type: ignore[method-assign]  # called once, at start


class _Installed:
    """Builds the middleware of an app with chaosapi around it."""

    def __init__(
        self, app: Starlette, settings: Settings, points: tuple[str, ...], registry: "Collector | None"
    ) -> None:
        self._app = app
        self._settings = settings
        self._points = points
        self._registry = registry
        self._build = app.build_middleware_stack
        self._lock = threading.Lock()
        self._builder: threading.Thread | None = None
        self._stack: ASGIApp | None = None

    def __call__(self) -> ASGIApp:
        thread = threading.current_thread()
        with self._lock:
            # Threads that start the app at once get the same: `LifespanMiddleware` refuses all but one of them.
            others = self._builder and self._builder is not thread and self._builder.is_alive()
            if self._stack is None or not others:
                self._stack = self._build_with_chaos()
                self._builder = thread
            return self._stack

    def _build_with_chaos(self) -> ASGIApp:
        _log_admin_access(self._settings)
        routes = routes_of(self._app, self._settings.exempt)
        # Wrap the whole stack: inside it an effect could not reach the connection.
        return _with_chaos(self._build(), self._settings, routes, self._points, self._registry)


def add_inner_middleware(app: Starlette) -> None:
    """Let effects answer inside the middleware of `app`, and of the apps that are mounted in it.

    An app that is mounted later is included too, unless it has served a request already.
    """
    mounted: list[Starlette] = []

    def look_for_mounts() -> None:
        for route in every_route(app.routes):
            found = _mounted(route)
            if found and found not in mounted and found.middleware_stack is None:
                add_inner_middleware(found)
                mounted.append(found)

    def layer(app: ASGIApp, place: Place) -> ASGIApp:
        if place == "handlers":
            look_for_mounts()
        return InnerMiddleware(app, place, mount_answers)

    def mount_answers(scope: Scope) -> bool:
        """Return whether a mounted app gets the request: ask the routes in order, as the router does."""
        look_for_mounts()
        if not mounted:
            return False
        matching = (route for route in every_route(app.routes) if route.matches(dict(scope))[0] is Match.FULL)
        return next((_mounted(route) in mounted for route in matching), False)

    add_inner_layers(app, layer)


def _mounted(found: Any) -> Starlette | None:
    route = original(found)
    app = getattr(route, "app", None)
    return app if isinstance(route, (Mount, Host)) and isinstance(app, Starlette) else None


class ChaosMiddleware:
    """Wrap any ASGI app. Such an app has no route table, so `routes` are the templates of its routes.

    `/items/{item_id}` matches one segment, `/files/{path:path}` the rest of the path; without `routes`, all paths are
    one route. Include the app's own /healthz, /readyz and /metrics, or chaosapi answers them.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        routes: Iterable[str] = (_REST,),
        settings: Settings | None = None,
        points: Iterable[str] = (),
        registry: "Collector | None" = None,
    ) -> None:
        from chaosapi.wiring import create_store

        chosen = settings or _of_guest()
        create_store(chosen)  # raises here, and not when the first request comes
        methods = frozenset({"GET", "POST"})
        table = RouteTable.of([Route(path, methods, exempt=exempt(path)) for path in routes], chosen.exempt)
        _log_admin_access(chosen)
        self._make = partial(_with_chaos, InnerMiddleware(app), chosen, table, tuple(points), registry)
        self._app: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._app is None:
            self._app = self._make()  # now, because the server may have forked since
        await self._app(scope, receive, send)


def _with_chaos(
    app: ASGIApp, settings: Settings, routes: RouteTable, points: tuple[str, ...], registry: "Collector | None"
) -> ASGIApp:
    """Return the app with chaos around it; call it in the process that serves.

    Where the workers of a server cannot be one service, the result refuses to start.
    """
    from chaosapi.runtime.lifespan import Hooks, LifespanMiddleware
    from chaosapi.runtime.workers.guests import join_workers
    from chaosapi.wiring import Chaos

    try:
        settings, worker = join_workers(settings)
    except (OSError, RuntimeError, SettingsError) as error:
        refused = RuntimeError(f"chaosapi: {error}")

        async def refuse() -> None:
            raise refused

        return LifespanMiddleware(app, [], Hooks(refuse))
    return Chaos(settings, routes, points=points, worker=worker, app_registry=registry).around(app)


def is_installed(app: object) -> bool:
    """Return whether chaosapi is in an app, or in the one that its middlewares wrap."""
    while app is not None:
        if isinstance(app, ChaosMiddleware):
            return True
        if isinstance(app, Starlette):
            return isinstance(app.build_middleware_stack, _Installed)
        app = getattr(app, "app", None)
    return False


def _of_guest() -> Settings:
    """Read the settings from the environment, without those of the server, which belongs to the app's owner."""
    return Settings(host="127.0.0.1", port=0, workers=1, drain_delay=0)


def _log_admin_access(settings: Settings) -> None:
    """Log who may use the admin API: the address that the server listens on is unknown here."""
    if settings.admin_open:
        _LOG.warning("chaosapi: CHAOSAPI_ADMIN_OPEN is set: every client that reaches /admin may inject faults")
    elif settings.admin_token is None:
        _LOG.warning(
            "chaosapi: /admin answers to this machine alone, and through no proxy: for others set CHAOSAPI_ADMIN_TOKEN"
        )


def routes_of(app: Starlette, exempt_paths: Iterable[str] = ()) -> RouteTable:
    """Return the routes of an app and of the apps mounted in it; what fits one of `exempt_paths` is exempt, too."""
    return RouteTable(lambda: _router(app.routes, docs_of(app)), exempt_paths, lambda: _sources(app))


def _sources(parent: HasRoutes) -> Iterator[HasRoutes]:
    """Yield what has the routes of an app: the app itself, included routers and mounts."""
    yield parent
    for each in parent.routes:
        inner = each if isinstance(each, (Mount, Host)) else included_router(each)
        if inner:
            yield from _sources(inner)


def _router(routes: Sequence[BaseRoute], docs: frozenset[str], prefix: str = "") -> Router:
    found = [(each, original(each)) for each in every_route(routes)]
    return Router([_entry(each, route, docs, prefix) for each, route in found if not isinstance(route, WebSocketRoute)])


def _entry(each: Any, route: BaseRoute, docs: frozenset[str], prefix: str) -> Entry:
    """Return the entry of an item that `every_route` yields; `route` is the route itself."""
    own: str | None = getattr(each, "path", None)
    root_path = ""
    if isinstance(route, (Mount, Host)):
        root_path = root_path_of(route.app)
        path = prefix + (own or "")
        inner = route.routes  # empty unless a Starlette app
        leads_to = _router(inner, docs_of(route.app), path) if inner else _route(path + _REST, each)
    else:
        leads_to = _route(prefix + (_REST if own is None else own), each, declared=own in docs)
    if own is None or not matches_by_path(route):
        return Entry(each.matches, leads_to, by_path=False, root_path=root_path)
    return Entry(each.matches, leads_to, *start_of(pattern_of(each)), root_path=root_path)


def _route(template: str, each: Any, *, declared: bool = False) -> Route:
    """Return a route; at a usual path of docs it is exempt unless the schema has it, or it is `declared` as docs."""
    methods = frozenset(getattr(each, "methods", None) or ("GET",))
    ordinary = first_segment(template) in DOCS and getattr(each, "include_in_schema", False)
    spared = declared or (exempt(template) and not ordinary)
    return Route(template, methods, getattr(each, "status_code", None) or 200, spared)
