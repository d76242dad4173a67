"""Dispatch requests by path: to the control plane on its paths, to the app on all others."""

import logging
from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.api import problems
from chaosapi.errors import NotFound
from chaosapi.frameworks import route_path
from chaosapi.routes import PROBES, UNKNOWN, first_segment
from chaosapi.routing import RouteTable
from chaosapi.runtime.process_effects import Probes

_CONTROL_PATHS = ("/admin", "/hooks")
_ADMIN_PATHS: Final = ("/admin/faults", "/admin/docs", "/hooks/alertmanager")
_PATHS: Final = (*_ADMIN_PATHS, "/metrics", *PROBES)
_LOG: Final = logging.getLogger("chaosapi")


class Dispatch:
    """Pure ASGI middleware. With an admin port, /admin and /hooks are served there; /metrics and probes on both ports.

    The app's own probes answer, unless a fault fails them. If the app has other paths of the control plane too, the
    app serves them here and the control plane on the admin port; `refuse_shared_paths` requires that port.
    """

    def __init__(
        self, app: ASGIApp, control: ASGIApp, probes: Probes, routes: RouteTable, admin_port: int | None
    ) -> None:
        self._app = app
        self._control = control
        self._probes = probes
        self._admin_port = admin_port
        self._routes = routes
        self._explained = False

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request to the control plane or to the app."""
        handler = scope.get(keys.HANDLER)
        if handler is None:
            return self._choose_app(scope)(scope, receive, send)
        if handler == UNKNOWN:
            return self._explain(scope)(scope, receive, send)
        return self._app(scope, receive, send)

    def _choose_app(self, scope: Scope) -> ASGIApp:
        """Return what answers a request that is exempt from faults."""
        if scope["type"] != "http":
            return self._app
        path = route_path(scope)
        first = first_segment(path)
        if self._admin_port is not None and first in _shared_segments(self._routes):
            return self._app
        if first in _CONTROL_PATHS:
            # A port of its own is not mentioned.
            return self._control if self._admin_port is None else problems.of(NotFound(f"there is nothing at {first}"))
        return self._control if path == "/metrics" or self._probe_fails(path) else self._app

    def _explain(self, scope: Scope) -> ASGIApp:
        """Return what answers a request that no route matches: say why where a proxy has kept a prefix of our paths."""
        path = scope["path"]
        root = scope.get("root_path", "")
        twice = root and route_path(scope).startswith(f"{root}/")
        if not twice and not path.endswith(_PATHS):
            return self._app
        why = (
            f"{path[:200]!r} was requested, but the app's and chaosapi's paths begin after the root path {root!r}: "
            "a proxy has kept a prefix that it should strip, or that should be the root path"
        )
        if not self._explained:
            self._explained = True
            _LOG.warning("chaosapi: %s", why)
        return problems.of(NotFound(why)) if path.endswith(_ADMIN_PATHS) else self._app

    def _probe_fails(self, path: str) -> bool:
        probe = PROBES.get(path)
        return probe is not None and (path not in self._routes.own or self._probes.fails(probe))


def refuse_shared_paths(routes: RouteTable, admin_port: int | None) -> None:
    """Raise RuntimeError if the app and the control plane have paths in common and there is no admin port."""
    shared = _shared_segments(routes)
    if shared and admin_port is None:
        raise RuntimeError(
            f"the app answers {', '.join(sorted(shared))} itself, and so would chaosapi: "
            "set CHAOSAPI_ADMIN_PORT, and chaosapi answers on a port of its own"
        )


def _shared_segments(routes: RouteTable) -> set[str]:
    return {first_segment(path) for path in routes.own} & {*_CONTROL_PATHS, "/metrics"}
