"""What runs beside the requests: it starts and stops with the app."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from starlette.types import ASGIApp, Receive, Scope, Send

Job = Callable[[], Coroutine[Any, Any, None]]


class Life:
    """Outermost ASGI: starts the jobs with the app, and stops them with it.

    Under a server or an app without lifespan events they start at the first request and end with the process.
    `start` is called in the event loop that serves, and may raise OSError; `stop` in a thread, because it may wait.
    """

    def __init__(self, app: ASGIApp, jobs: Sequence[Job], start: Callable[[], None], stop: Callable[[], None]) -> None:
        self.app = app
        self._jobs, self._on_start, self._on_stop = jobs, start, stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] == "lifespan":
            await self._live(scope, receive, send)
            return
        if self._loop is not asyncio.get_running_loop():
            self._start()
        await self.app(scope, receive, send)

    async def _live(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            self._start()
        except OSError as error:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        try:
            await self.app(scope, receive, send)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.to_thread(self._on_stop)
            self._loop = None

    def _start(self) -> None:
        self._on_start()
        self._loop = asyncio.get_running_loop()
        self._tasks = [self._loop.create_task(job()) for job in self._jobs]
