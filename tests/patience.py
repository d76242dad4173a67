"""Time-outs of tests, longer on a busy machine."""

import os
import time
from collections.abc import Callable

_VARIABLE = "TEST_PATIENCE"


def factor() -> float:
    """Return the factor of time-outs: TEST_PATIENCE, or the load average per core, at least 1."""
    given = os.environ.get(_VARIABLE)
    return float(given) if given else max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def patience(seconds: float) -> float:
    """Return the time-out in seconds of a wait that takes at most `seconds` on a quiet machine with two cores."""
    return seconds * factor()


def until(condition: Callable[[], object], seconds: float = 30) -> None:
    """Return once the condition holds; fails after so many seconds of a quiet machine."""
    deadline = time.monotonic() + patience(seconds)
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds:g} s"
        time.sleep(0.01)
