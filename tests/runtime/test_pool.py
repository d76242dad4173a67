"""The pool for heavy work: one thread and a short queue."""

import asyncio
import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator

import pytest
from starlette.requests import Request
from starlette.types import Message

from chaosapi.errors import Busy, ClientGone
from chaosapi.runtime.pool import BoundedLock, CoalescedWork, Pool, cancel_on_disconnect
from tests.patience import patience


class Gate:
    """Work that runs until it is released, and counts its concurrency."""

    def __init__(self) -> None:
        self.running = self.most = self.runs = 0
        self.open = threading.Event()

    def __call__(self) -> int:
        self.running += 1
        self.runs += 1
        self.most = max(self.most, self.running)
        self.open.wait(patience(60))
        self.running -= 1
        return self.runs


@pytest.fixture
def gate() -> Iterator[Gate]:
    """Yield work that is released when the test ends."""
    made = Gate()
    yield made
    made.open.set()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for it."""
    while not condition():
        await asyncio.sleep(0.001)


class Large:
    """An object that an error references."""


@pytest.mark.parametrize("way", ["pool", "shared", "unless gone"])
def test_the_objects_of_an_error_are_freed_with_it(way: str) -> None:
    """Without a garbage collection: full collections are rare, and errors of refused bodies are large."""
    seen: list[weakref.ref[Large]] = []

    def fail() -> int:
        carried = Large()
        seen.append(weakref.ref(carried))
        raise ValueError(carried)

    async def ask(pool: Pool) -> int:
        if way == "shared":
            return await CoalescedWork(fail)()
        return await (pool.run(fail) if way == "pool" else cancel_on_disconnect(stays(), pool.run(fail)))

    async def play() -> None:
        pool = Pool("sums", waiting=2)
        try:
            with pytest.raises(ValueError, match="Large"):
                await ask(pool)
            await until(lambda: seen[0]() is None)
        finally:
            pool.close()

    gc.collect()
    gc.disable()
    try:
        asyncio.run(asyncio.wait_for(play(), patience(10)))
    finally:
        gc.enable()


def stays() -> Request:
    """Return a request whose client stays connected."""

    async def receive() -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    return Request({"type": "http"}, receive)


def test_one_call_runs_some_wait_and_further_ones_are_refused(gate: Gate) -> None:
    """A refusal comes at once and names the work; the waiting calls run one after the other."""

    async def play() -> list[int]:
        pool = Pool("sums", waiting=2)
        accepted = [asyncio.create_task(pool.run(gate)) for _ in range(3)]
        await until(lambda: gate.running == 1)
        for _ in range(20):
            with pytest.raises(Busy, match="sums"):
                await pool.run(gate)
        gate.open.set()
        return await asyncio.gather(*accepted)

    assert asyncio.run(play()) == [1, 2, 3]
    assert gate.most == 1


def test_a_cancelled_call_leaves_the_queue(gate: Gate) -> None:
    """Its work never starts."""

    async def play() -> int:
        pool = Pool("sums", waiting=1)
        first = asyncio.create_task(pool.run(gate))
        await until(lambda: gate.running == 1)
        for _ in range(5):
            given_up = asyncio.create_task(pool.run(gate))
            await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.wait({given_up})
        second = asyncio.create_task(pool.run(gate))
        await asyncio.sleep(0)
        gate.open.set()
        await first
        return await second

    assert asyncio.run(play()) == 2


class Endless:
    """Work that ends only if its check raises."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.stopped = threading.Event()

    def run(self, check: Callable[[], None], most: float = 60) -> None:
        """Run until the check raises."""
        self.begun.set()
        until = time.monotonic() + most
        try:
            while time.monotonic() < until:
                check()
                time.sleep(0.001)
        except Busy:
            self.stopped.set()
            raise


def test_work_beyond_its_time_out_is_refused_and_stops() -> None:
    """Its caller and the waiting calls get the error; the thread is free for the next."""

    async def play() -> str:
        pool = Pool("sums", waiting=1, timeout_s=0.05)
        work = Endless()
        try:
            asked = [pool.run(lambda: work.run(pool.check)), pool.run(lambda: None)]
            for refused in await asyncio.gather(*asked, return_exceptions=True):
                assert isinstance(refused, Busy)
                assert "longer than 0.05 s" in str(refused)
            await until(work.stopped.is_set)
            return await pool.run(lambda: "next")
        finally:
            pool.close()

    assert asyncio.run(play()) == "next"


def test_work_stops_when_its_caller_is_cancelled() -> None:
    """The work of other callers continues."""

    async def play() -> str:
        pool = Pool("sums", waiting=1)
        work = Endless()

        def following() -> str:
            pool.check()
            return "next"

        try:
            leaving = asyncio.create_task(pool.run(lambda: work.run(pool.check)))
            await until(work.begun.is_set)
            second = asyncio.create_task(pool.run(following))
            leaving.cancel()
            await until(work.stopped.is_set)
            return await second
        finally:
            pool.close()

    assert asyncio.run(play()) == "next"


def test_an_error_is_raised_to_the_caller() -> None:
    """The pool keeps working."""

    def wrong() -> None:
        raise ValueError("no")

    async def play() -> int:
        pool = Pool("sums", waiting=0)
        for _ in range(3):
            with pytest.raises(ValueError, match="no"):
                await pool.run(wrong)
        return await pool.run(lambda: 7)

    assert asyncio.run(play()) == 7


def test_a_disconnect_frees_the_place_in_the_queue(gate: Gate) -> None:
    """The next call is accepted while the first still runs."""

    async def play() -> None:
        pool = Pool("sums", waiting=1)
        first = asyncio.create_task(pool.run(gate))
        await until(lambda: gate.running == 1)
        for _ in range(3):
            with pytest.raises(ClientGone):
                await cancel_on_disconnect(Request({"type": "http"}, leaving), pool.run(gate))
        gate.open.set()
        await first

    async def leaving() -> Message:
        await asyncio.sleep(0)
        return {"type": "http.disconnect"}

    asyncio.run(play())
    assert gate.runs == 1


def test_a_connected_client_gets_the_result() -> None:
    """Or the error."""

    async def staying() -> Message:
        await asyncio.Future()
        raise AssertionError

    async def answer(error: Exception | None = None) -> int:
        await asyncio.sleep(0)
        if error:
            raise error
        return 3

    async def play() -> int:
        with pytest.raises(KeyError):
            await cancel_on_disconnect(Request({"type": "http"}, staying), answer(KeyError("x")))
        return await cancel_on_disconnect(Request({"type": "http"}, staying), answer())

    assert asyncio.run(play()) == 3


def test_a_closed_pool_has_no_thread_and_can_be_used_again() -> None:
    """An app may be started again."""

    async def play() -> None:
        pool = Pool("sums-of-this-test", waiting=0)
        for _ in range(2):
            assert await pool.run(lambda: 7) == 7
            pool.close()
            await until(lambda: not any(thread.name.startswith("sums-of") for thread in threading.enumerate()))

    asyncio.run(play())


def test_concurrent_callers_share_one_run(gate: Gate) -> None:
    """A running call may be outdated for them; the next run is for all. Any event loop may call."""
    shared = CoalescedWork(gate)

    async def ask(people: int) -> list[int]:
        return await asyncio.gather(*(shared() for _ in range(people)))

    async def play() -> tuple[int, list[int], list[int]]:
        first = asyncio.create_task(ask(1))
        await until(lambda: gate.running == 1)
        second = asyncio.create_task(ask(50))
        elsewhere = asyncio.create_task(asyncio.to_thread(asyncio.run, ask(50)))
        given_up = asyncio.create_task(shared())
        await asyncio.sleep(0.05)
        given_up.cancel()
        gate.open.set()
        return (await first)[0], await second, await elsewhere

    first, second, elsewhere = asyncio.run(play())
    assert first == 1
    assert set(second + elsewhere) <= {2, 3}  # the other thread may come after the second has begun
    assert gate.most == 1


def test_a_failed_shared_run_fails_for_all_callers_and_is_retried() -> None:
    """Each caller gets the error."""
    runs = 0

    def work() -> int:
        nonlocal runs
        runs += 1
        if runs == 1:
            raise KeyError("x")
        return runs

    async def play() -> int:
        shared = CoalescedWork(work)
        with pytest.raises(KeyError):
            await shared()
        return await shared()

    assert asyncio.run(play()) == 2


def test_a_bounded_lock_admits_one_by_one_and_refuses_too_many() -> None:
    """A cancelled caller leaves the queue."""

    async def play() -> list[int]:
        turns = BoundedLock("readers", waiting=1)
        inside = [0]
        go = asyncio.Event()

        async def take() -> int:
            async with turns.acquired():
                inside[0] += 1
                await go.wait()
                now = inside[0]
                inside[0] -= 1
                return now

        first = asyncio.create_task(take())
        for _ in range(3):
            given_up = asyncio.create_task(take())
            await asyncio.sleep(0)
            given_up.cancel()
            await asyncio.wait({given_up})
        second = asyncio.create_task(take())
        await asyncio.sleep(0)
        with pytest.raises(Busy, match="readers"):
            await take()
        go.set()
        return list(await asyncio.gather(first, second))

    assert asyncio.run(play()) == [1, 1]
