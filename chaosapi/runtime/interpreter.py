"""Settings of the whole Python process: only `chaosapi serve` changes them, never `install()` in another app."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_SWITCH_INTERVAL_S: Final = 0.001
"""How long a busy thread keeps Python's lock. The default of 5 ms adds up where a response takes many turns."""
_FULL_COLLECTION_THRESHOLD: Final = 1000
"""Collections of the middle generation before a full one; the default is 10. A full collection stops every thread, for
seconds in total while thousands of requests begin to be held."""


@contextmanager
def short_turns() -> Iterator[None]:
    """Make threads take shorter turns, and full garbage collections rarer, until the block ends.

    This keeps the thread of the admin port fast; benchmarks/control.py measures it.
    """
    interval = sys.getswitchinterval()
    thresholds = gc.get_threshold()
    sys.setswitchinterval(_SWITCH_INTERVAL_S)
    gc.set_threshold(*thresholds[:2], _FULL_COLLECTION_THRESHOLD)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)
        gc.set_threshold(*thresholds)
