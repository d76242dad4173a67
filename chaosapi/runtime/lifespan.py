"""The ASGI lifespan: background jobs start and stop with the app."""

import asyncio
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLL_INTERVAL_S: Final = 0.2
_RELEASE_AFTER_S: Final = 7.0
"""How long faults keep requests waiting once the server begins to stop; uvicorn then has time to answer them."""

_SEVERAL_THREADS: Final = (
    "chaosapi: several threads serve this app, each with an event loop of its own, and the counts would be wrong. "
    "Start one worker, or several processes: Granian's workers are threads on a Python without a GIL, else processes"
)

Job = Callable[[], Coroutine[Any, Any, None]]


async def _async_noop() -> None:
    pass


def _noop() -> None:
    pass


@dataclass(frozen=True)
class Hooks:
    """Functions that the middleware calls in the life of a server."""

    start: Callable[[], Awaitable[None]] = _async_noop
    """Awaited before the jobs start. May raise OSError or RuntimeError, which end the server."""
    stop: Callable[[], Awaitable[None]] = _async_noop
    """Awaited after the jobs have ended."""
    on_stop_requested: Callable[[], None] = _noop
    """Called when the server begins to stop; the drain delay and requests under way come before it has stopped."""
    release_held: Callable[[], None] = _noop
    """Called some seconds later, so that held requests end: uvicorn sends the shutdown event after them."""
    on_app_started: Callable[[], None] = _noop
    """Called when the app has started, before the first request. May raise RuntimeError, which ends the server."""


class LifespanMiddleware:
    """The outermost ASGI app: starts the jobs with the app, and stops them with it.

    Under a server without lifespan events, jobs start at the first request and end with the process. For an app without
    lifespan events, the middleware answers them. Hooks run in the event loop that serves.
    """

    def __init__(self, app: ASGIApp, jobs: Sequence[Job], hooks: Hooks | None = None) -> None:
        self.app = app
        self.hooks = hooks or Hooks()
        self._jobs = jobs
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = False
        self._lifespan = threading.Lock()
        """Held while a server runs the app's lifespan."""
        self._starting: asyncio.Task[None] | None = None
        self._tasks: list[asyncio.Task[None]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._run_lifespan(scope, receive, send)
            return
        if not self._running and self._loop is not asyncio.get_running_loop():
            await self._ensure_started()
        await self.app(scope, receive, send)

    async def _run_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self._lifespan.acquire(blocking=False):
            await _fail_startup(_SEVERAL_THREADS, receive, send)
            return
        try:
            await self._run_only_lifespan(scope, receive, send)
        finally:
            self._lifespan.release()

    async def _run_only_lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._start()
        except (OSError, RuntimeError) as error:
            await _fail_startup(str(error), receive, send)
            return
        self._running = True

        refused = ""

        async def check_start(message: Message) -> None:
            nonlocal refused
            if message["type"] == "lifespan.startup.complete":
                try:
                    self.hooks.on_app_started()
                except RuntimeError as error:
                    refused = str(error)
                    return
            if message["type"].startswith("lifespan.shutdown"):
                await self._stop()  # the server ends its event loop once it has the answer
                if refused:
                    message = {"type": "lifespan.startup.failed", "message": refused}
            await send(message)

        async def receive_next() -> Message:
            """Shut the app down at once where its start is refused: the server waits for nothing else."""
            return {"type": "lifespan.shutdown"} if refused else await receive()

        try:
            await _run_app_lifespan(self.app, scope, receive_next, check_start)
        finally:
            await self._stop()

    async def _stop(self) -> None:
        if not self._running:
            return
        self._running = False
        self._loop = None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.hooks.stop()

    async def _ensure_started(self) -> None:
        """Start with the first request; requests that arrive meanwhile wait too."""
        loop = asyncio.get_running_loop()
        if self._starting is None or self._starting.done() or self._starting.get_loop() is not loop:
            self._starting = loop.create_task(self._start_late())
        await asyncio.shield(self._starting)

    async def _start_late(self) -> None:
        await self._start()
        self.hooks.on_app_started()

    async def _start(self) -> None:
        await self.hooks.start()
        self._loop = asyncio.get_running_loop()
        self._tasks = [self._loop.create_task(job()) for job in (*self._jobs, self._watch_for_stop)]

    async def _watch_for_stop(self) -> None:
        with stop_probe() as should_exit:
            while not should_exit():  # noqa: ASYNC110 - the server offers no event
                await asyncio.sleep(_POLL_INTERVAL_S)
        self.hooks.on_stop_requested()
        await asyncio.sleep(_RELEASE_AFTER_S)
        self.hooks.release_held()


@contextmanager
def stop_probe() -> Iterator[Callable[[], bool]]:
    """Yield a function that returns whether the server is about to stop.

    uvicorn, also as gunicorn's worker, handles SIGTERM with a method of its server, which sets `should_exit` there. The
    handler of any other server, such as Granian, is wrapped, and restored at the end. The stop of a server that neither
    handles SIGTERM nor runs in the main thread goes unnoticed; `HypercornConnection` notices Hypercorn's.
    """
    handler = signal.getsignal(signal.SIGTERM)
    server: Any = getattr(handler, "__self__", None)
    if hasattr(server, "should_exit"):
        yield lambda: bool(server.should_exit)
        return
    received = False

    def handle_sigterm(number: int, frame: FrameType | None) -> None:
        nonlocal received
        received = True
        if callable(handler):
            handler(number, frame)

    wrapped = callable(handler) and threading.current_thread() is threading.main_thread()
    if wrapped:
        signal.signal(signal.SIGTERM, handle_sigterm)
        signal.siginterrupt(signal.SIGTERM, False)
    try:
        yield lambda: received
    finally:
        if wrapped and signal.getsignal(signal.SIGTERM) is handle_sigterm:
            signal.signal(signal.SIGTERM, handler)


async def _fail_startup(reason: str, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": reason})


async def _run_app_lifespan(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Run the app's lifespan; complete startup and shutdown for apps that have none."""
    received: list[Message] = []
    sent: list[Message] = []

    async def recording_receive() -> Message:
        received.append(await receive())
        return received[-1]

    async def recording_send(message: Message) -> None:
        sent.append(message)
        await send(message)

    try:
        await app(scope, recording_receive, recording_send)
    except Exception:
        if sent:
            raise
        # The app does not support this scope: ASGI says that servers go on without it.
    if not sent:
        if not received:
            await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})
