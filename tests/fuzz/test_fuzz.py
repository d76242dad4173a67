"""Short runs of the fuzzer; docs/security.md has the commands of long runs."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.patience import patience

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


def run(module: str, *arguments: str) -> str:
    """Run a fuzzer without findings; return its output."""
    command = [sys.executable, "-m", module, *arguments]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=patience(280), check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    return found.stdout


@pytest.mark.parametrize(("store", "workers"), [("memory", "1"), ("memory", "2")])
def test_some_thousand_requests_find_nothing(store: str, workers: str) -> None:
    """Latency and memory are checked in long runs on an idle machine."""
    printed = run(
        *("fuzz", "--requests", "4000", "--minutes", "0.4", "--seed", "11", "--untimed"),
        *("--store", store, "--workers", workers),
    )
    sent = int(printed.split(" requests in")[0].rsplit("\n", 1)[-1].replace(",", ""))
    assert sent >= 500, printed
