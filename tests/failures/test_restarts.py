"""SIGTERM under load, without a load balancer."""

import sys
from pathlib import Path

import pytest

from fuzz import restarts

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("workers", [1, 2])
def test_a_restart_loses_no_accepted_request(workers: int, tmp_path: Path) -> None:
    """A client may find the port closed; an accepted request is answered."""
    found, status = restarts.restart(tmp_path, sys.executable, workers, seconds=0.5)
    assert status == 0
    assert found["answered"] > 0
    assert found["lost"] == 0
