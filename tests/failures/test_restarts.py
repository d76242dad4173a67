"""SIGTERM under load, with nothing in front that turns clients away."""

import sys
from pathlib import Path

import pytest

from fuzz import restarts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [1, 2])
def test_a_restart_loses_no_request_that_was_being_served(workers: int, tmp_path: Path) -> None:
    """Who finds nobody listening is not served; who was accepted is answered."""
    found, status = restarts.restart(tmp_path, sys.executable, workers, seconds=0.5)
    assert status == 0
    assert found["answered"] > 0
    assert found["lost"] == 0
