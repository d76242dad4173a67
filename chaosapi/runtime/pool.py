"""Heavy work beside the event loop: one piece at a time, a short queue, and a refusal beyond it."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any, Final, Generic, TypeVar

from starlette.requests import Request
from starlette.types import Receive

from chaosapi.errors import Busy, ClientGone

T = TypeVar("T")

PATIENCE: Final = 10.0
"""Seconds that a caller waits for its turn and for its work together."""


class Pool:
    """Runs work in one thread; at most `waiting` more pieces wait for it. `what` names the work in refusals.

    Nobody waits longer than `patience`, in seconds. Work that may take long calls `check` between its steps.
    """

    def __init__(self, what: str, waiting: int, patience: float = PATIENCE) -> None:
        self._what = what
        self._patience = patience
        self._stop = threading.Event()
        """Tells the piece that runs to stop."""
        self._places = threading.Semaphore(1 + waiting)
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Return what the work returns, or raise what it raises.

        Raises Busy where the queue is full, and where the result is not there in time. A caller that is cancelled or
        out of time gives its place in the queue back at once; work that runs already stops at its next `check`.
        """
        if not self._places.acquire(blocking=False):
            raise Busy(f"too many {self._what} are under way: ask again in a moment")
        self._thread = self._thread or ThreadPoolExecutor(1, self._what)
        stop = threading.Event()
        job = self._thread.submit(self._begin, work, stop)
        job.add_done_callback(self._left)
        try:
            async with asyncio.timeout(self._patience):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise Busy(
                f"the {self._what} take longer than {self._patience:g} s: ask for less, or again later"
            ) from None
        finally:
            stop.set()
            del job  # an error refers to this frame: together they would stay until a full garbage collection

    def check(self) -> None:
        """Raise Busy where nobody waits any more for the piece that calls this."""
        if self._stop.is_set():
            raise Busy(f"nobody waits for these {self._what} any more")

    def close(self) -> None:
        """Let the thread end; what waits is not begun any more."""
        if self._thread:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None

    def _begin(self, work: Callable[[], T], stop: threading.Event) -> T:
        self._stop = stop
        return work()

    def _left(self, _: "Future[T]") -> None:
        self._places.release()


class Turns:
    """Lets one caller of an event loop in at a time; at most `waiting` more wait. `what` names them in refusals."""

    def __init__(self, what: str, waiting: int) -> None:
        self._what = what
        self._places = 1 + waiting
        self._turn = asyncio.Lock()

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """Wait for the turn; raises Busy where too many do."""
        if not self._places:
            raise Busy(f"too many {self._what} are under way: ask again in a moment")
        self._places -= 1
        try:
            async with self._turn:
                yield
        finally:
            self._places += 1


class Shared(Generic[T]):
    """Work that all who ask for it meanwhile share: however many ask, it is done once at a time.

    What is returned was begun after it was asked for. Callers may be in several event loops.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._running = False
        self._next: Future[T] | None = None

    async def __call__(self) -> T:
        """Return what the work returns, or raise what it raises."""
        with self._lock:
            mine = self._next = self._next or Future()
            begin = not self._running
            self._running = True
        if begin:
            threading.Thread(target=self._run, name="shared", daemon=True).start()
        try:
            return await asyncio.shield(asyncio.wrap_future(mine))
        finally:
            del mine  # as above

    def _run(self) -> None:
        while True:
            with self._lock:
                asked = self._next
                self._next = None
                self._running = asked is not None
            if asked is None:
                return
            try:
                asked.set_result(self._work())
            except BaseException as error:  # noqa: BLE001 - it is the callers'
                asked.set_exception(error)


async def unless_gone(request: Request, answer: Coroutine[Any, Any, T]) -> T:
    """Return the answer; where the client disconnects before it is there, cancel it and raise ClientGone."""
    working = asyncio.ensure_future(answer)
    watching = asyncio.ensure_future(_disconnected(request.receive))
    try:
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientGone("the client has disconnected")
        return working.result()
    finally:
        working.cancel()
        watching.cancel()
        await asyncio.wait({working, watching})
        del working, watching  # as above


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
