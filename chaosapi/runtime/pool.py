"""Heavy work outside the event loop: one task at a time, a short queue, and a refusal (503) beyond it."""

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

TIMEOUT_S: Final = 10.0
"""For the time in the queue and the work together."""


class Pool:
    """Runs work in one thread; at most `waiting` more tasks queue for it. `what` names the work in refusals.

    No caller waits longer than `timeout_s`. Work that may take long calls `check` between its steps.
    """

    def __init__(self, what: str, waiting: int, timeout_s: float = TIMEOUT_S) -> None:
        self._what = what
        self._timeout_s = timeout_s
        self._stop = threading.Event()
        """Set when the caller of the running task has stopped waiting."""
        self._places = threading.Semaphore(1 + waiting)
        self._thread: ThreadPoolExecutor | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """Return what the work returns, or raise what it raises.

        Raises Busy where the queue is full, and after the time-out. A caller that is cancelled or out of time leaves
        the queue at once; work that already runs stops at its next `check`.
        """
        if not self._places.acquire(blocking=False):
            raise Busy(f"too many {self._what} are under way: ask again in a moment")
        self._thread = self._thread or ThreadPoolExecutor(1, self._what)
        stop = threading.Event()
        job = self._thread.submit(self._begin, work, stop)
        job.add_done_callback(self._release_place)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(job)
        except TimeoutError:
            raise Busy(
                f"the {self._what} take longer than {self._timeout_s:g} s: ask for less, or again later"
            ) from None
        finally:
            stop.set()
            del job  # breaks the reference cycle of error and frame, which would last until a full garbage collection

    def check(self) -> None:
        """Raise Busy where the caller of the running task has stopped waiting."""
        if self._stop.is_set():
            raise Busy(f"the caller of these {self._what} has left")

    def close(self) -> None:
        """Stop the thread after its task; queued tasks are cancelled."""
        if self._thread:
            self._thread.shutdown(wait=False, cancel_futures=True)
            self._thread = None

    def _begin(self, work: Callable[[], T], stop: threading.Event) -> T:
        self._stop = stop
        return work()

    def _release_place(self, _: "Future[T]") -> None:
        self._places.release()


class Pools:
    """The pools of one process: forecasts and scores, lists to write, and large bodies to read."""

    def __init__(self) -> None:
        self.forecasts = Pool("forecasts", waiting=2)
        self.lists = Pool("lists", waiting=32)
        self.bodies = Pool("large bodies", waiting=16)

    def close(self) -> None:
        """Stop all threads."""
        self.forecasts.close()
        self.lists.close()
        self.bodies.close()


class BoundedLock:
    """A lock in one event loop with a bounded queue: at most `waiting` callers wait. `what` names them in refusals."""

    def __init__(self, what: str, waiting: int) -> None:
        self._what = what
        self._places = 1 + waiting
        self._lock = asyncio.Lock()

    @asynccontextmanager
    async def acquired(self) -> AsyncIterator[None]:
        """Wait for the lock; raises Busy where the queue is full."""
        if not self._places:
            raise Busy(f"too many {self._what} are under way: ask again in a moment")
        self._places -= 1
        try:
            async with self._lock:
                yield
        finally:
            self._places += 1


class CoalescedWork(Generic[T]):
    """Coalesces calls: calls that arrive while the work runs share the next run.

    A run returns to callers that asked before it began. Callers may be in several event loops.
    """

    def __init__(self, work: Callable[[], T]) -> None:
        self._work = work
        self._lock = threading.Lock()
        self._running = False
        self._next: Future[T] | None = None

    async def __call__(self) -> T:
        """Return what the work returns, or raise what it raises."""
        with self._lock:
            self._next = self._next or Future()
            mine = self._next
            begin = not self._running
            self._running = True
        if begin:
            threading.Thread(target=self._run, name="shared", daemon=True).start()
        try:
            return await asyncio.shield(asyncio.wrap_future(mine))
        finally:
            del mine  # breaks a reference cycle, as in Pool.run

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
            except BaseException as error:  # noqa: BLE001 - raised in the callers
                asked.set_exception(error)


async def cancel_on_disconnect(request: Request, answer: Coroutine[Any, Any, T]) -> T:
    """Return the answer; where the client disconnects first, cancel the answer and raise ClientGone."""
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
        del working, watching  # breaks a reference cycle, as in Pool.run


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
