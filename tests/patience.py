"""How long tests wait for something that must come: longer where the machine is busy."""

import os

_VARIABLE = "TEST_PATIENCE"


def factor() -> float:
    """Return by how much waits are prolonged: TEST_PATIENCE, or the load average per core, at least 1."""
    given = os.environ.get(_VARIABLE)
    return float(given) if given else max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def patience(seconds: float) -> float:
    """Return the limit of a wait, in seconds, that takes at most this long on a quiet machine with two cores."""
    return seconds * factor()
