"""A server of its own for the control plane: another port, another thread, another event loop."""

import socket
import threading

import structlog
import uvicorn
from starlette.types import ASGIApp

log = structlog.stdlib.get_logger("chaosapi.listener")


class Listener:
    """Serves `app` on an address until stopped, whatever the event loop of the main port is doing."""

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._app, self._host, self._port = app, host, port
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Bind and serve; raises OSError that names the address and the setting."""
        if self._thread is not None:
            return
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        try:
            bound = socket.create_server((self._host, self._port), family=family, backlog=1024)
        except OSError as error:
            raise OSError(
                f"CHAOSAPI_ADMIN_PORT: {self._host}:{self._port} cannot be bound: {error.strerror}"
            ) from error
        config = uvicorn.Config(
            self._app,
            loop="uvloop",
            http="httptools",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [bound]}, name="chaosapi-admin", daemon=True
        )
        self._thread.start()
        log.info("admin API", url="http://{}:{}".format(*bound.getsockname()[:2]))

    def stop(self) -> None:
        """Stop serving and wait for it."""
        if self._thread is not None:
            self._server.should_exit = True
            self._thread.join(5)
            self._thread = None
