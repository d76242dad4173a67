"""uvicorn, with an end that users need not notice."""

import asyncio
import gc
import signal
import socket
import time
from types import FrameType
from typing import Final

import structlog
import uvicorn

from chaosapi.life import Life
from chaosapi.listener import UVICORN
from chaosapi.settings import Settings

_DRAIN: Final = 10
"""Seconds that requests under way have to end in, once nothing new is accepted."""
_HELD: Final = 7
"""Seconds after which faults let go of those that they hold, so that all are answered in time."""
_LAST: Final = 0.2
"""Seconds in which requests on connections that were accepted last arrive."""
_CLOSE: Final = (b"connection", b"close")

log = structlog.stdlib.get_logger("chaosapi.server")


class Server(uvicorn.Server):
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
            **UVICORN,
            lifespan="on",
            timeout_graceful_shutdown=_DRAIN,
        )
        super().__init__(config)
        self._leave, self._release, self._delay = app.leave, app.release, settings.drain_delay
        self._told = False
        self._until: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Note the signal; uvicorn would raise a SIGTERM again in the end, for the exit status of a kill."""
        if sig != signal.SIGTERM:
            super().handle_exit(sig, frame)
        elif self._told:
            self.should_exit = True
        else:
            self._told = True

    async def on_tick(self, counter: int) -> bool:
        """Tell uvicorn, ten times a second, whether it is time to stop."""
        if self._told and self._until is None:
            self._until = time.monotonic() + self._delay
            self._leave()
            self.config.encoded_headers.append(_CLOSE)  # what uvicorn makes the default headers of, once a second
            self.server_state.default_headers = [*self.server_state.default_headers, _CLOSE]
            log.info("leaving", delay=self._delay)
        over = self._until is not None and time.monotonic() >= self._until
        return await super().on_tick(counter) or over

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve."""
        await super().startup(sockets)
        # All modules stay: full collections that looked at them again would stop every request for 0.1 s.
        gc.freeze()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing new, answer what has come in, and end; uvicorn would cut off what it has not read yet."""
        if self._told:
            for server in self.servers:
                server.close()
            await asyncio.sleep(_LAST)
        asyncio.get_running_loop().call_later(_HELD, self._release)
        await super().shutdown(sockets)
