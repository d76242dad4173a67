"""A separate server for the control plane: its own port, thread and event loop."""

import contextlib
import os
import socket
import threading
import time
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from chaosapi.logger import get_logger
from chaosapi.runtime.acceptor import Acceptor, connection_limit, open_descriptors
from chaosapi.runtime.http_protocol import HttpProtocol

log = get_logger("chaosapi.runtime.admin_server")

UVICORN_OPTIONS: Final[dict[str, Any]] = {
    "loop": "uvloop",
    "http": HttpProtocol,
    "ws": "none",
    "log_config": None,
    "access_log": False,
    "server_header": False,
    "proxy_headers": False,  # the peer is the address that is connected, not one in X-Forwarded-For
}
"""Options of uvicorn on every port."""
_ADMIN_SHARE: Final = 1 / 8
"""The share of the file descriptors for connections to the admin port; server.py has the share of users."""
_POLL_INTERVAL_S = 0.01
_BACKLOG = 2048
_DRAIN_S = 3
"""How long requests under way may take once the server stops."""
_STOP_TIMEOUT_S = 15.0
"""Covers all that stops with the server, such as the last report to a store that does not answer."""


def bind(host: str, port: int, setting: str, *, shared: bool = False) -> socket.socket:
    """Return a listening socket; raises OSError that names the address and the setting.

    A `shared` address may be bound by further processes of this user, if all of them share it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG, reuse_port=shared)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno else str(error)
        raise OSError(f"{setting}: cannot listen on {host}:{port}: {why}") from error


def url(bound: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = bound.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


class CappedServer(uvicorn.Server):
    """A uvicorn server whose connections take at most a `share` of the file descriptors of the process."""

    servers: list[Acceptor]  # type: ignore[assignment]  # instead of asyncio's, with the same methods

    def __init__(self, config: uvicorn.Config, share: float) -> None:
        super().__init__(config)
        self._share = share

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=[])  # without sockets, uvicorn only runs the lifespan of the app
        self.accept(sockets or [])

    def accept(self, sockets: Sequence[socket.socket]) -> None:
        make = partial(
            HttpProtocol,
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        connections = self.server_state.connections
        limit = connection_limit(self._share, open_descriptors())
        self.servers = [Acceptor(bound, make, connections, limit) for bound in sockets]


class AdminServer:
    """Serves `app` in a thread until stopped: it answers while the event loop of the main port is blocked."""

    def __init__(self, app: ASGIApp, host: str, port: int, bound: socket.socket | None = None) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._bound = bound
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind, unless a bound socket was given, and return when the server is ready.

        Raises OSError that names the address and the setting, and RuntimeError if the app does not start.
        """
        if self._thread is not None:
            return
        bound = self._bound or bind(self._host, self._port, "CHAOSAPI_ADMIN_PORT")
        config = uvicorn.Config(
            self._app,
            **UVICORN_OPTIONS,
            timeout_graceful_shutdown=_DRAIN_S,
        )
        self._server = CappedServer(config, _ADMIN_SHARE)
        self._thread = threading.Thread(target=self._serve, args=[bound], name="chaosapi-admin", daemon=True)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                self.stop()
                bound.close()
                raise RuntimeError("the admin API did not start: the line before says why")
            time.sleep(_POLL_INTERVAL_S)
        if self._bound is None:
            log.info("admin API", url=url(bound))

    def _serve(self, bound: socket.socket) -> None:
        with contextlib.suppress(SystemExit):  # uvicorn raises it where startup fails
            self._server.run(sockets=[bound])

    def stop(self) -> None:
        """Stop serving, and wait until the thread has ended."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(_STOP_TIMEOUT_S)
            self._thread = None
