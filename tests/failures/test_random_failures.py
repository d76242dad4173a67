"""A sample of the randomised failure runs; `python -m fuzz.failures --runs 1000` makes a thousand."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import patience

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


def test_faults_end_and_changes_are_kept_under_random_failures() -> None:
    """Processes are frozen and killed, clocks stepped, disks filled, outputs stalled, Redis lost in every way."""
    command = [sys.executable, "-m", "fuzz.failures", "--runs", "16", "--seed", "11", "--parallel", "4"]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patience(280), check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert "16 runs" in found.stdout
