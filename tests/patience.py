"""Time-outs of tests, longer on a busy machine."""

import os

_VARIABLE = "TEST_PATIENCE"


def factor() -> float:
    """Return the factor of time-outs: TEST_PATIENCE, or the load average per core, at least 1."""
    given = os.environ.get(_VARIABLE)
    return float(given) if given else max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def patience(seconds: float) -> float:
    """Return the time-out in seconds of a wait that takes at most `seconds` on a quiet machine with two cores."""
    return seconds * factor()
