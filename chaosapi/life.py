"""What runs beside the requests: it starts and stops with the app."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

Job = Callable[[], Coroutine[Any, Any, None]]


class Life:
    """Outermost ASGI: starts the jobs with the app, and stops them with it.

    Under a server without lifespan events they start at the first request and end with the process. For an app
    without them this speaks in its place. `start` is called in the event loop that serves, and may raise OSError or
    RuntimeError, which end the server; `stop` in a thread, because it may wait.
    """

    def __init__(
        self,
        app: ASGIApp,
        jobs: Sequence[Job],
        start: Callable[[], None] = lambda: None,
        stop: Callable[[], None] = lambda: None,
    ) -> None:
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
        except (OSError, RuntimeError) as error:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        try:
            await _lifespan(self.app, scope, receive, send)
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.to_thread(self._on_stop)
            self._loop = None

    def _start(self) -> None:
        self._on_start()
        self._loop = asyncio.get_running_loop()
        self._tasks = [self._loop.create_task(job()) for job in self._jobs]


async def _lifespan(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Let the app live; if it has nothing to say of it, complete start and stop for it."""
    heard: list[Message] = []
    said: list[Message] = []

    async def hear() -> Message:
        heard.append(await receive())
        return heard[-1]

    async def say(message: Message) -> None:
        said.append(message)
        await send(message)

    try:
        await app(scope, hear, say)
    except Exception:
        if said:
            raise
        # It does not know this scope: ASGI says that servers go on without it.
    if not said:
        if not heard:
            await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
