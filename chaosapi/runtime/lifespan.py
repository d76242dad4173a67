"""What runs beside the requests: it starts and stops with the app."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLL_INTERVAL_S: Final = 0.2
"""Seconds between two looks whether the server is about to stop."""
_RELEASE_AFTER_S: Final = 7.0
"""Seconds after which faults let go of those that they hold, so that all are answered in time."""

Job = Callable[[], Coroutine[Any, Any, None]]


async def _async_noop() -> None:
    """Do nothing."""


def _noop() -> None:
    """Tell nobody."""


class LifespanMiddleware:
    """Outermost ASGI: starts the jobs with the app, and stops them with it.

    Under a server without lifespan events they start at the first request and end with the process. For an app
    without them this speaks in its place. `start` comes before the jobs, and may raise OSError or RuntimeError, which
    end the server; `stop` comes when the jobs have ended. Both are awaited in the event loop that serves.

    `leave` is called when the server begins to stop, which may be long before it stops; `release` is called some
    seconds later, when requests have to come to their end: uvicorn waits for them first, and tells the app afterwards.
    """

    def __init__(
        self,
        app: ASGIApp,
        jobs: Sequence[Job],
        start: Callable[[], Awaitable[None]] = _async_noop,
        stop: Callable[[], Awaitable[None]] = _async_noop,
        leave: Callable[[], None] = _noop,
        release: Callable[[], None] = _noop,
    ) -> None:
        self.app, self.leave, self.release = app, leave, release
        self._jobs, self._on_start, self._on_stop = jobs, start, stop
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = False
        self._starting: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on."""
        if scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        if not self._running and self._loop is not asyncio.get_running_loop():
            await self._ensure_started()
        await self.app(scope, receive, send)

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._start()
        except (OSError, RuntimeError) as error:
            await receive()
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        self._running = True

        async def say(message: Message) -> None:
            if message["type"].startswith("lifespan.shutdown"):
                await self._stop()  # the server does not wait for what comes after its answer
            await send(message)

        try:
            await _run_app_lifespan(self.app, scope, receive, say)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if not self._running:
            return
        self._running, self._loop = False, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._on_stop()

    async def _ensure_started(self) -> None:
        """Start with the first request; those that come meanwhile wait too."""
        loop = asyncio.get_running_loop()
        if self._starting is None or self._starting.done() or self._starting.get_loop() is not loop:
            self._starting = loop.create_task(self._start())
        await asyncio.shield(self._starting)

    async def _start(self) -> None:
        await self._on_start()
        self._loop = asyncio.get_running_loop()
        self._tasks = [self._loop.create_task(job()) for job in (*self._jobs, self._watch_for_stop)]

    async def _watch_for_stop(self) -> None:
        """Look whether the server is about to stop, and let requests come to their end in time."""
        stopping = _stop_probe()
        while not stopping():  # noqa: ASYNC110 - it offers no event
            await asyncio.sleep(_POLL_INTERVAL_S)
        self.leave()
        await asyncio.sleep(_RELEASE_AFTER_S)
        self.release()


def _stop_probe() -> Callable[[], bool]:
    """Return what tells whether the server is about to stop.

    uvicorn, also as gunicorn's worker, takes SIGTERM with a method of its server, and notes there that it should exit.
    Other servers have no such sign; they are never seen to stop.
    """
    server = getattr(signal.getsignal(signal.SIGTERM), "__self__", None)
    return lambda: bool(getattr(server, "should_exit", False))


async def _run_app_lifespan(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
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
