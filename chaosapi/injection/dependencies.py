"""Named points at which an app calls what it depends on; a fault may target them instead of whole requests."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from contextvars import ContextVar
from http import HTTPStatus
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.injected_error import Raise


class DependencyError(Exception):
    """A fault let the call to a dependency fail; `status` is what the dependency would have answered."""

    def __init__(self, point: str, status: int) -> None:
        super().__init__(f"{point} answered {status}")
        self.point = point
        self.status = status


Gate = Callable[[str, "DependencyCall"], Coroutine[Any, Any, None] | None]
"""Gives what the faults do around a call at a point; None where no fault acts."""

current_gate: ContextVar[Gate | None] = ContextVar("chaosapi.current_gate", default=None)
"""The gate of the request that is being served; set by the middleware while faults target points."""


class DependencyCall:
    """One call to a dependency, as effects see it: an app that answers, and the connection to who calls."""

    def __init__(self, point: str) -> None:
        self.point = point
        self.app: ASGIApp = Raise(self._answer)
        self.reached = asyncio.Event()
        self.closed = asyncio.Event()
        self._returned = asyncio.Event()
        self._status: int | None = None

    def returned(self) -> None:
        """Let the dependency answer: the block under the point is through."""
        self._returned.set()

    def raise_for_fault(self) -> None:
        """Raise what the caller would see: DependencyError, or ConnectionError where there was no answer."""
        if self._status is None:
            raise ConnectionResetError(f"{self.point} closed the connection without an answer")
        if self._status >= HTTPStatus.BAD_REQUEST:
            raise DependencyError(self.point, self._status)

    async def receive(self) -> Message:
        """Wait until the connection is closed: the request has no body."""
        await self.closed.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        """Take the answer's status."""
        self._status = message.get("status", self._status)

    def drop(self, *, reset: bool) -> None:
        """Close the connection."""
        self.closed.set()

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.set()
        await self._returned.wait()
        await send({"type": "http.response.start", "status": HTTPStatus.OK, "headers": []})
        await send({"type": "http.response.body"})


@asynccontextmanager
async def point(name: str) -> AsyncIterator[None]:
    """Pass a point: `async with chaosapi.point("db"): …` around the call to a dependency.

    Where a fault targets the point, the block starts later, or does not start: DependencyError carries the status of an
    injected error, ConnectionResetError stands for no answer, InjectedError for an injected exception. Faults act on
    requests and on tasks that requests have started; elsewhere nothing ever happens here.
    """
    gate = current_gate.get()
    if gate is None:
        yield
        return
    call = DependencyCall(name)
    effects = gate(name, call)
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
