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
from chaosapi.runtime.acceptor import refuse
from chaosapi.runtime.lifespan import Life
from chaosapi.settings import Settings

_DRAIN: Final = 10
"""Seconds that requests under way have to end in, once nothing new is accepted."""
_LAST: Final = 0.2
"""Seconds in which the last connections that had begun are accepted, and then again for the requests on them."""
_USERS: Final = 3 / 4
"""The share of the descriptors that connections may have; the rest is for the admin port, the store and effects."""
_CLOSE: Final = (b"connection", b"close")

log = get_logger("chaosapi.runtime.server")


class Server(admin_server.Accepting):
    """Drains on SIGTERM, and then ends with exit status 0.

    First it is no longer ready and lets every answer close its connection, while it goes on serving for as long as
    CHAOSAPI_DRAIN_DELAY says: so load balancers turn away, and clients that keep their connections open. Then it
    accepts no more and waits for the requests under way; whom faults still hold near the end is let go. A second
    SIGTERM cuts the delay short; SIGINT, from a person at a terminal, knows none.
    """

    def __init__(self, app: Life, settings: Settings) -> None:
        config = uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            **admin_server.UVICORN,
            lifespan="on",
            timeout_graceful_shutdown=_DRAIN,
        )
        super().__init__(config, _USERS)
        self._leave, self._delay = app.leave, settings.drain_delay
        self._has_admin_thread = settings.admin_port is not None
        self._tuned = ExitStack()
        self._own: list[socket.socket] = []
        self._told = False
        self._until: float | None = None
        self._giving_back: asyncio.Task[None] | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal; uvicorn would raise a SIGTERM again in the end, for the exit status of a kill."""
        if sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
        elif self._told:
            self.should_exit = True
        else:
            self._told = True
            self._leave()  # here, for a pause that keeps `on_tick` waiting hears of it too

    async def on_tick(self, counter: int) -> bool:
        """Tell uvicorn, ten times a second, whether it is time to stop."""
        if self._told and self._until is None:
            self._until = time.monotonic() + self._delay
            self.config.encoded_headers.append(_CLOSE)  # what uvicorn makes the default headers of, once a second
            self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
            log.info("leaving", delay=self._delay)
        if self._until is not None and time.monotonic() >= self._until:
            self.should_exit = True
        return await super().on_tick(counter)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve: on the address of the settings, unless listening sockets are given, which others share."""
        if self._has_admin_thread:
            self._tuned.enter_context(interpreter.short_turns())
        await super().startup(sockets)
        if sockets is None:
            try:
                self._own = [admin_server.bind(self.config.host, self.config.port, "CHAOSAPI_PORT")]
            except OSError as error:
                log.error(str(error))  # noqa: TRY400 - all that is to be said
                self.started = False
                await self.lifespan.shutdown()
                sys.exit(STARTUP_FAILURE)
            self.accept(self._own)
            self._log_started_message(self._own)
        # All modules stay: full collections that looked at them again would stop every request for 0.1 s.
        gc.freeze()
        self._giving_back = asyncio.create_task(heap.run())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing new, answer what has come in, and end; uvicorn would cut off what it has not read yet."""
        if self._giving_back:
            self._giving_back.cancel()
        if self._told:
            for bound in self._own:
                refuse(bound)
            await asyncio.sleep(_LAST)
            for server in self.servers:
                server.close()
            await asyncio.sleep(_LAST)
        await super().shutdown(sockets)
        self._tuned.close()
