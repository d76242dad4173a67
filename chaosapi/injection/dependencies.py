"""Named points at which an app calls its dependencies; a fault may target points instead of whole requests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from contextvars import ContextVar
from http import HTTPStatus
from types import TracebackType
from typing import Any, NamedTuple

from starlette.types import Message, Receive, Scope, Send

from chaosapi.calls import Calls, Try, current_calls, outcome_of, reason_of
from chaosapi.inner import InnerMiddleware


class DependencyError(Exception):
    """A fault made the call to a dependency fail; `status` is the status of the injected response."""

    def __init__(self, point: str, status: int) -> None:
        super().__init__(f"{point} answered {status}")
        self.point = point
        self.status = status


class Gate(NamedTuple):
    """How calls to dependencies pass the faults that target points, within one request."""

    inject: Callable[[str, "DependencyCall"], Coroutine[Any, Any, None] | None]
    """Returns a coroutine that runs the faults around a call at a point; None where no fault hits the call."""
    loop: asyncio.AbstractEventLoop
    """The event loop that serves the request."""


current_gate: ContextVar[Gate | None] = ContextVar("chaosapi.current_gate", default=None)
"""The gate of the request that is being served; set by the middleware while faults target points."""


class DependencyCall:
    """One call to a dependency, as an ASGI request to effects: an app that answers, and the caller's connection."""

    reachable = True

    def __init__(self, point: str) -> None:
        self.point = point
        self.reached = asyncio.Event()
        self.closed = asyncio.Event()
        self._returned = asyncio.Event()
        self._status: int | None = None

    def returned(self) -> None:
        """Let the dependency answer, once the block under the point has finished."""
        self._returned.set()

    def raise_for_fault(self) -> None:
        """Raise DependencyError for an error status, ConnectionResetError where there was no response."""
        if self._status is None:
            raise ConnectionResetError(f"{self.point} closed the connection without an answer")
        if self._status >= HTTPStatus.BAD_REQUEST:
            raise DependencyError(self.point, self._status)

    async def receive(self) -> Message:
        """Wait until the connection is closed: the request has no body."""
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Record the status of the response."""
        self._status = message.get("status", self._status)

    def drop(self, *, reset: bool) -> None:
        """Close the connection."""
        self.closed.set()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, unless an effect answers or raises instead."""
        await InnerMiddleware(self._answer)(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.set()
        await self._returned.wait()
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": []})
        await send({"type": "http.response.body"})


class point:  # noqa: N801 - reads as a function
    """Mark the call to a dependency: `async with chaosapi.point("db"): …`, in a `def` handler `with`.

    A fault that targets the point delays the block, or raises instead of running it: DependencyError with the status of
    an injected error, ConnectionResetError for no response, the exception of the effect `exception`. Faults act within
    requests, and within tasks and worker threads that requests have started; elsewhere a point is a no-op.

    The time and the outcome of the block are measured, faults included, for metrics, log lines and spans.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._call: AbstractAsyncContextManager[None] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._calls: Calls | None = None
        self._started = 0.0
        self._number = 1

    async def __aenter__(self) -> None:
        self._start()
        gate = current_gate.get()
        if gate is not None:
            await self._enter(gate)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._call is None:
            self._record(error)
            return None
        return await self._exit(kind, error, trace)

    def __enter__(self) -> None:
        """Wait in this thread while the faults act in the event loop, which ends their waits."""
        _refuse_event_loop()
        self._start()
        gate = current_gate.get()
        if gate is not None:
            self._loop = gate.loop
            asyncio.run_coroutine_threadsafe(self._enter(gate), self._loop).result()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        if self._loop is None:
            self._record(error)
            return None
        return asyncio.run_coroutine_threadsafe(self._exit(kind, error, trace), self._loop).result()

    async def _enter(self, gate: Gate) -> None:
        """Let the faults act that come before the block."""
        self._call = _call(self._name, gate)
        try:
            await self._call.__aenter__()
        except BaseException as error:
            self._record(error)
            raise

    async def _exit(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        """Let the faults act that come after the block."""
        assert self._call  # noqa: S101 - `_enter` came first
        try:
            handled = await self._call.__aexit__(kind, error, trace)
        except BaseException as raised:
            self._record(raised)
            raise
        self._record(error)
        return handled

    def _start(self) -> None:
        calls = self._calls = current_calls.get()
        if calls is not None:
            self._number = calls.next_number(self._name)
            self._started = calls.clock()

    def _record(self, error: BaseException | None) -> None:
        calls = self._calls
        if calls is not None:
            seconds = calls.clock() - self._started
            outcome = outcome_of(error)
            calls.record(Try(self._name, self._number, outcome, self._started, seconds, reason_of(error)))


def faults_at(name: str) -> AbstractAsyncContextManager[None]:
    """Return the faults around a call at a point, for a client that records its tries itself."""
    gate = current_gate.get()
    return nullcontext() if gate is None else _call(name, gate)


def _refuse_event_loop() -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    raise RuntimeError("`with chaosapi.point(…)` would block the event loop: in a coroutine use `async with`")


@asynccontextmanager
async def _call(name: str, gate: Gate) -> AsyncIterator[None]:
    call = DependencyCall(name)
    effects = gate.inject(name, call)
    if effects is None:
        yield
        return
    acting = asyncio.create_task(effects)
    reached = asyncio.create_task(call.reached.wait())
    try:
        await asyncio.wait({acting, reached}, return_when=asyncio.FIRST_COMPLETED)
        if not call.reached.is_set():
            await acting
            call.raise_for_fault()
        yield
        call.returned()
        await acting
        call.raise_for_fault()
    finally:
        for task in (acting, reached):
            task.cancel()
        await asyncio.gather(acting, reached, return_exceptions=True)
        del acting  # breaks the reference cycle of an exception and this frame
