"""Freed memory is returned to the system."""

import asyncio
import ctypes
import gc
import os
import subprocess
import sys
import weakref
from pathlib import Path

import pytest

from chaosapi.runtime import heap
from tests.patience import patience

MUCH = 64 * 2**20
STATM = Path("/proc/self/statm")

glibc = pytest.mark.skipif(
    not (STATM.exists() and hasattr(ctypes.CDLL(None), "malloc_trim")), reason="glibc on Linux is meant"
)


def resident() -> int:
    """Return the resident memory in bytes."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@glibc
def test_free_memory_below_a_live_object_is_returned() -> None:
    """A small object at the end of the heap keeps the C library from returning memory by itself."""
    heap.trim()
    many = [bytes(4000) for _ in range(MUCH // 4000)]
    last = bytes(4000)
    full = resident()
    many.clear()
    freed = resident()
    heap.trim()
    assert freed > full - MUCH / 2, "the C library gave it back itself: this shows nothing"
    assert resident() < full - MUCH / 2
    assert len(last) == 4000


@glibc
def test_large_blocks_are_returned_at_once_after_larger_ones() -> None:
    """In a separate process, because the setting is permanent: 32 MiB in blocks of 1 MiB below a live object."""
    run = subprocess.run([sys.executable, "-c", LARGE_BLOCKS], capture_output=True, text=True, check=True)
    before, limited = map(int, run.stdout.split())
    assert before > 16, "the C library gave it back itself: this shows nothing"
    assert limited < 16


# Without pytest: the free memory that its import leaves would take the small blocks, away from the large ones.
LARGE_BLOCKS = """
import os
from chaosapi.runtime import heap

def resident():
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

def left():
    bytearray(b"1") * (16 * 2**20)  # glibc takes what is smaller for small from now on
    start = resident()
    many = [(b"1" * 2**20, bytes(4000)) for _ in range(32)]
    small = [each for _, each in many]
    many.clear()
    return (resident() - start) >> 20

print(left())
heap.limit_fragmentation()
heap.trim()
print(left())
"""


class Knot:
    """An object with a reference cycle."""

    def __init__(self) -> None:
        self.itself = self


def test_a_full_collection_is_skipped_with_many_live_objects() -> None:
    """A full collection stops every thread, for longer the more objects there are."""
    alive = len(gc.get_objects())
    few = heap.Collector(max_objects=2 * alive)
    many = heap.Collector(max_objects=alive // 2)
    gc.disable()
    try:
        few(always=False)
        many(always=False)  # the first one counts
        left = old_knot()
        many(always=False)
        assert left() is not None
        many(always=True)
        assert left() is None
        left = old_knot()
        few(always=False)
        assert left() is None
    finally:
        gc.enable()


def test_a_full_collection_is_not_skipped_with_much_garbage() -> None:
    """Live objects count, garbage does not."""
    collector = heap.Collector(max_objects=len(gc.get_objects()) + 10_000)
    gc.disable()
    try:
        collector(always=False)
        garbage = [Knot() for _ in range(20_000)]
        gc.collect()  # now they are old
        left = weakref.ref(garbage[0])
        garbage.clear()
        collector(always=False)
        assert left() is None
    finally:
        gc.enable()


def old_knot() -> "weakref.ref[Knot]":
    """Make garbage in the oldest generation."""
    knot = Knot()
    gc.collect()
    return weakref.ref(knot)


def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without malloc_trim, the function does nothing."""
    monkeypatch.setattr(ctypes, "CDLL", lambda _: object())
    heap.trim()


def test_memory_is_returned_periodically_outside_the_event_loop() -> None:
    """Until cancelled; each thirtieth time with a full collection."""

    async def play() -> None:
        loop = asyncio.get_running_loop()
        twice = asyncio.Event()
        calls: list[bool] = []

        def give_back(*, always: bool) -> None:
            with pytest.raises(RuntimeError):
                asyncio.get_running_loop()  # another thread's: this one has none
            calls.append(always)
            if len(calls) == 60:
                loop.call_soon_threadsafe(twice.set)

        job = asyncio.create_task(heap.run(give_back, 0.0))
        await asyncio.wait_for(twice.wait(), patience(10))
        job.cancel()
        with pytest.raises(asyncio.CancelledError):
            await job
        assert [turn for turn, always in enumerate(calls[:60], 1) if always] == [30, 60]

    asyncio.run(play())
