"""Return freed memory to the operating system; for a process that runs nothing but this service."""

import asyncio
import ctypes
import gc
import itertools
from collections.abc import Callable
from typing import Final, Protocol

_INTERVAL_S: Final = 2.0
_BEATS_TO_COLLECTION: Final = 30

_MAX_OBJECTS: Final = 50_000
"""The most living objects of a full garbage collection: it holds Python's lock for 2 ms (lists) to 30 ms (modules)."""

_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Parameters of mallopt(3), as malloc.h numbers them."""
_LARGE: Final = 128 * 2**10
_ARENAS: Final = 2


def limit_fragmentation() -> None:
    """Let few arenas hold small blocks, and large blocks have mappings of their own; a no-op without glibc.

    By itself glibc gives each thread an arena, and raises the size of a large block to that of the largest that was
    freed: bodies and pages of a megabyte then lie among small blocks that stay. After a flood of them 7 MiB stay
    with these limits, and 12 to 15 MiB without.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # musl; a static build; Windows
        return
    mallopt(_MMAP_THRESHOLD, _LARGE)
    mallopt(_ARENA_MAX, _ARENAS)


class Collector:
    """Collects garbage, and returns free pages to the system.

    Requests that a flood kept waiting are in the oldest generation when they end, and full collections are rare while
    the admin port has a thread of its own.
    """

    def __init__(self, max_objects: int = _MAX_OBJECTS) -> None:
        self._max_objects = max_objects
        self._survivors = 0
        """The objects that the last collection left: garbage does not count."""

    def __call__(self, *, always: bool) -> None:
        """Collect and return; without `always`, skip a collection of many objects, which stops all threads for long."""
        if always or self._survivors <= self._max_objects:
            gc.collect()
            self._survivors = len(gc.get_objects(generation=2))
        trim()


def trim() -> None:
    """Return all free pages to the system, those in the middle of each thread's arena too; a no-op without glibc.

    By itself glibc returns only the end of each arena: one small object there keeps tens of mebibytes of large requests
    that have ended.
    """
    malloc_trim = _malloc_trim()
    if malloc_trim is not None:
        malloc_trim(0)


def _malloc_trim() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim  # ctypes releases Python's lock during the call
    except (AttributeError, OSError, TypeError):  # musl; a static build; Windows
        return None


class GiveBack(Protocol):
    """Returns memory; with `always`, at any cost."""

    def __call__(self, *, always: bool) -> None: ...


async def run(give_back: GiveBack, beat: float = _INTERVAL_S) -> None:
    """Return memory every `beat` seconds, in a thread, until cancelled; every 30th time at any cost."""
    for turn in itertools.count(1):
        await asyncio.sleep(beat)
        await asyncio.to_thread(give_back, always=turn % _BEATS_TO_COLLECTION == 0)
