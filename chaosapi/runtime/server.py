"""uvicorn, with an end that users need not notice."""

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
"""Seconds that requests under way have to end in, once nothing new is accepted."""
_LAST_ACCEPT_S: Final = 0.2
"""Seconds in which the last connections that had begun are accepted, and then again for the requests on them."""
_USER_SHARE: Final = 3 / 4
"""The share of the descriptors that connections may have; the rest is for the admin port, the store and effects."""
_CLOSE_HEADER: Final = (b"connection", b"close")

log = get_logger("chaosapi.runtime.server")


class Server(admin_server.CappedServer):
    """Drains on SIGTERM, and then ends with exit status 0.

    First it is no longer ready and lets every answer close its connection, while it goes on serving for as long as
    CHAOSAPI_DRAIN_DELAY says: so load balancers turn away, and clients that keep their connections open. Then it
    accepts no more and waits for the requests under way; whom faults still hold near the end is let go. A second
    SIGTERM cuts the delay short; SIGINT, from a person at a terminal, knows none.
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
        self._on_stop, self._delay = app.leave, settings.drain_delay
        self._has_admin_thread = settings.admin_port is not None
        self._tuned = ExitStack()
        self._own_sockets: list[socket.socket] = []
        self._stopping = False
        self._stop_at: float | None = None
        self._trimming: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal; uvicorn would raise a SIGTERM again in the end, for the exit status of a kill."""
        if sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
        elif self._stopping:
            self.should_exit = True
        else:
            self._stopping = True
            self._on_stop()  # here, for a pause that keeps `on_tick` waiting hears of it too

    async def on_tick(self, counter: int) -> bool:
        """Tell uvicorn, ten times a second, whether it is time to stop."""
        if self._stopping and self._stop_at is None:
            self._stop_at = time.monotonic() + self._delay
            self.config.encoded_headers.append(
                _CLOSE_HEADER
            )  # what uvicorn makes the default headers of, once a second
            self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE_HEADER]
            log.info("leaving", delay=self._delay)
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve: on the address of the settings, unless listening sockets are given, which others share."""
        if self._has_admin_thread:
            self._tuned.enter_context(interpreter.short_turns())
        await super().startup(sockets)
        if sockets is None:
            try:
                self._own_sockets = [admin_server.bind(self.config.host, self.config.port, "CHAOSAPI_PORT")]
            except OSError as error:
                log.error(str(error))  # noqa: TRY400 - all that is to be said
                self.started = False
                await self.lifespan.shutdown()
                sys.exit(STARTUP_FAILURE)
            self.accept(self._own_sockets)
            self._log_started_message(self._own_sockets)
        # All modules stay: full collections that looked at them again would stop every request for 0.1 s.
        gc.freeze()
        self._trimming = asyncio.create_task(heap.run())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing new, answer what has come in, and end; uvicorn would cut off what it has not read yet."""
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
