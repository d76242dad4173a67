"""Gives back memory that the process has freed and the C library keeps: for a process that is all ours."""

import asyncio
import ctypes
import gc
from collections.abc import Callable
from typing import Final

_INTERVAL_S: Final = 2.0
"""Seconds between two times."""

_MAX_OBJECTS: Final = 50_000
"""Objects that a full garbage collection may look at: it holds Python's lock for 2 ms (lists) to 30 ms (modules)."""


def collect_and_trim() -> None:
    """Free what is garbage, and return free pages to the system.

    Requests that a flood kept waiting are old when they end, and full collections are rare while the admin port has a
    thread of its own; this comes in between, unless so many objects live that all threads would stand still for long.
    """
    if len(gc.get_objects(generation=2)) <= _MAX_OBJECTS:
        gc.collect()
    trim()


def trim() -> None:
    """Return all free pages to the system, those in the middle of each thread's arena too.

    By itself glibc returns only the end of each arena: one small object there keeps tens of mebibytes of large requests
    that are over. Other C libraries have no such call.
    """
    if (call := _malloc_trim()) is not None:
        call(0)


def _malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim  # ctypes lets other threads run meanwhile
    except (AttributeError, OSError, TypeError):  # another library; no library that can be asked; Windows
        return None


async def run(give_back: Callable[[], None] = collect_and_trim, beat: float = _INTERVAL_S) -> None:
    """Give back again and again, until cancelled; others have their turn meanwhile."""
    while True:
        await asyncio.sleep(beat)
        await asyncio.to_thread(give_back)
