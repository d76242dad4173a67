"""Gives back memory that the process has freed and the C library keeps."""

import asyncio
import ctypes
from collections.abc import Callable
from typing import Final

_BEAT: Final = 2.0
"""Seconds between two times; each takes some milliseconds of a thread that holds no lock of Python's."""


def trim() -> None:
    """Return all free pages to the system, those in the middle of each thread's arena too.

    By itself glibc returns only the end of each arena: one small object there keeps tens of mebibytes of large requests
    that are over. Other C libraries have no such call.
    """
    if (call := _found()) is not None:
        call(0)


def _found() -> Callable[[int], int] | None:
    try:
        return ctypes.CDLL(None).malloc_trim  # ctypes lets other threads run meanwhile
    except (AttributeError, OSError, TypeError):  # another library; no library that can be asked; Windows
        return None


async def run(give_back: Callable[[], None] = trim, beat: float = _BEAT) -> None:
    """Give back again and again, until cancelled; others have their turn meanwhile."""
    while True:
        await asyncio.sleep(beat)
        await asyncio.to_thread(give_back)
