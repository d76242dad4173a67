"""Which plane answers: the control plane on its paths, the app on all others."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.api import problems
from chaosapi.errors import NotFound
from chaosapi.routes import PROBES, RouteTable, first_segment, route_path
from chaosapi.runtime.process_effects import Probes

_STEERING = ("/admin", "/hooks")


class Dispatch:
    """Pure ASGI. With an admin port, steering moves there; metrics and probes stay here as well.

    Where the app has probes of its own they are asked, unless a fault fails them. Other paths of ours are left to an
    app that has them too, if there is an admin port to find ours at; `refuse_shared_paths` tells.
    """

    def __init__(
        self, app: ASGIApp, control: ASGIApp, probes: Probes, routes: RouteTable, admin_port: int | None
    ) -> None:
        self._app = app
        self._control = control
        self._probes = probes
        self._admin_port = admin_port
        self._own = routes.own
        self._apps = _shared(routes)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request to the one it is for."""
        return self._choose_app(scope)(scope, receive, send)

    def _choose_app(self, scope: Scope) -> ASGIApp:
        if keys.HANDLER in scope or scope["type"] != "http":
            return self._app
        path = route_path(scope)
        first = first_segment(path)
        if first in self._apps:
            return self._app
        if first in _STEERING:
            if self._admin_port is None:
                return self._control
            return problems.of(
                NotFound(f"the admin API has a port of its own: {self._admin_port} (CHAOSAPI_ADMIN_PORT)")
            )
        return self._control if path == "/metrics" or self._probe_fails(path) else self._app

    def _probe_fails(self, path: str) -> bool:
        probe = PROBES.get(path)
        return probe is not None and (path not in self._own or self._probes.fails(probe))


def refuse_shared_paths(routes: RouteTable, admin_port: int | None) -> None:
    """Raise RuntimeError if the app and we would answer the same paths on one port."""
    shared = _shared(routes)
    if shared and admin_port is None:
        raise RuntimeError(
            f"the app answers {', '.join(sorted(shared))} itself, and so would chaosapi: "
            "set CHAOSAPI_ADMIN_PORT, and chaosapi answers on a port of its own"
        )


def _shared(routes: RouteTable) -> set[str]:
    return {first_segment(path) for path in routes.own} & {*_STEERING, "/metrics"}
