"""Settings of the whole interpreter, for a process that is all ours: a guest in somebody's app changes none of them."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SWITCH_INTERVAL_S: Final = 0.001
"""Seconds after which a busy thread lets another one run; Python's 5 ms add up where an answer needs many turns."""
_FULL_COLLECTION_THRESHOLD: Final = 1000
"""Collections of the middle generation before a full one, instead of Python's 10: a full one stops every thread, for
seconds in all while thousands of requests come to be held."""


@contextmanager
def short_turns() -> Iterator[None]:
    """Let threads take shorter turns, and full garbage collections be rarer, until the block ends.

    The admin port has a thread of its own; benchmarks/control.py shows what this does for it.
    """
    turn = sys.getswitchinterval()
    thresholds = gc.get_threshold()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(*thresholds[:2], _FULL_COLLECTION_THRESHOLD)
    try:
        yield
    finally:
        sys.setswitchinterval(turn)
        gc.set_threshold(*thresholds)
