"""uvicorn with a graceful shutdown: no request fails because a server stops."""

import asyncio
import gc
import signal
import socket
import sys
import time
from contextlib import ExitStack
from types import FrameType
from typing import Final

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from chaosapi.logger import get_logger
from chaosapi.runtime import admin_server, heap, interpreter
from chaosapi.runtime.acceptor import drop_new_connections
from chaosapi.runtime.lifespan import LifespanMiddleware
from chaosapi.settings import Settings

_DRAIN_S: Final = 10
"""How long requests under way may take once no connection is accepted any more."""
_LAST_ACCEPT_S: Final = 0.2
"""How long connections that have begun are still accepted, and afterwards how long requests on them are."""
_USER_SHARE: Final = 3 / 4
"""The share of the file descriptors for connections; the rest is for the admin port, the store and effects."""
_CLOSE_HEADER: Final = (b"connection", b"close")

log = get_logger("chaosapi.runtime.server")


class Server(admin_server.CappedServer):
    """Drains on SIGTERM, and then ends with exit status 0.

    First, readiness fails and every response closes its connection, while the server goes on serving for
    CHAOSAPI_DRAIN_DELAY: load balancers take it out, and clients with open connections reconnect elsewhere. Then it
    accepts no more connections and waits for the requests under way; requests that faults hold are released in time. A
    second SIGTERM skips the delay; so does SIGINT, from a person at a terminal.
    """

    def __init__(self, app: LifespanMiddleware, settings: Settings) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            **admin_server.UVICORN_OPTIONS,
            lifespan="on",
            timeout_graceful_shutdown=_DRAIN_S,
        )
        super().__init__(config, _USER_SHARE)
        self._on_stop_requested = app.hooks.on_stop_requested
        self._drain_delay = settings.drain_delay
        self._has_admin_thread = settings.admin_port is not None
        self._tuned = ExitStack()
        self._own_sockets: list[socket.socket] = []
        self._stopping = False
        self._stop_at: float | None = None
        self._trimming: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to drain on SIGTERM. uvicorn would raise the signal again at its end: exit status 143 instead of 0."""
        if sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
        elif self._stopping:
            self.should_exit = True
        else:
            self._stopping = True
            self._on_stop_requested()  # here, so that a pause effect that blocks `on_tick` ends too

    async def on_tick(self, counter: int) -> bool:
        """Return whether to stop; uvicorn calls it ten times a second."""
        if self._stopping and self._stop_at is None:
            self._stop_at = time.monotonic() + self._drain_delay
            # uvicorn builds the default headers anew every second, from these.
            self.config.encoded_headers.append(_CLOSE_HEADER)
            self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE_HEADER]
            log.info("leaving", delay=self._drain_delay)
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve on the address of the settings, or on listening sockets that several workers share."""
        heap.limit_fragmentation()
        if self._has_admin_thread:
            self._tuned.enter_context(interpreter.short_turns())
        await super().startup(sockets)
        if sockets is None:
            try:
                self._own_sockets = [admin_server.bind(self.config.host, self.config.port, "CHAOSAPI_PORT")]
            except OSError as error:
                log.error(str(error))  # noqa: TRY400 - the message says it all, a traceback would hide it
                self.started = False
                await self.lifespan.shutdown()
                sys.exit(STARTUP_FAILURE)
            self.accept(self._own_sockets)
            self._log_started_message(self._own_sockets)
        # Modules live for ever: full collections that traverse them would stop every request for 0.1 s.
        gc.freeze()
        self._trimming = asyncio.create_task(heap.run(heap.Collector()))

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Refuse new connections, answer what has arrived, and end; uvicorn would drop requests not yet read."""
        if self._trimming:
            self._trimming.cancel()
        if self._stopping:
            for bound in self._own_sockets:
                drop_new_connections(bound)
            await asyncio.sleep(_LAST_ACCEPT_S)
            for server in self.servers:
                server.close()
            await asyncio.sleep(_LAST_ACCEPT_S)
        await super().shutdown(sockets)
        self._tuned.close()
