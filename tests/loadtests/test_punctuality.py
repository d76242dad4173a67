"""The statistics of a sender that is late, or killed."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.loadtests.ids import is_planned
from tests.loadtests.processes import ENVIRONMENT, LOADTESTS, free_port, locust, statistics, wait_for
from tests.loadtests.shop import Shop
from tests.patience import patience

pytestmark = pytest.mark.slow

RATE = 20
DURATION = 6
BEHIND = 4
LATEST = 1.0


def test_a_late_sender_counts_latency_from_the_due_time(shop: Shop, tmp_path: Path) -> None:
    """A run that begins 4 s after its start has missed what was due in the first 3 s; the next was due a second ago.

    So its latency is a second but for the gap between two requests, however fast the shop is.
    """
    behind = tmp_path / "behind.py"
    behind.write_text(f"import _coordinator\n_coordinator.LEAD_S = -{BEHIND}\n")
    steady = ("--scenario", "steady", "--rate", str(RATE), "--duration", f"{DURATION}s")
    run = locust(*steady, "-f", f"{LOADTESTS / 'locustfile.py'},{behind}", host=shop.url, stats=tmp_path / "s")
    found = re.search(rf"{RATE * DURATION} requests were due and (\d+) missed \((\d+) late\)", run.stderr)
    assert found, run.stderr
    missed, late = map(int, found.groups())
    assert missed == late >= RATE * (BEHIND - LATEST)
    entries = [entry for entry in statistics(tmp_path / "s.json") if entry["method"] != "MISSED"]
    assert sum(entry["num_requests"] for entry in entries) == RATE * DURATION - missed
    assert max(entry["max_response_time"] for entry in entries) >= 1000 * (LATEST - 2 / RATE)


def test_a_killed_worker_loses_only_its_part(shop: Shop) -> None:
    """No other worker sends it; the master counts it as missing."""
    port = str(free_port())
    base = [sys.executable, "-m", "locust", "-f", str(LOADTESTS), "-H", shop.url, "--reports", "none"]
    steady = ["--headless", "--scenario", "steady", "--rate", "20", "--duration", "6s", "--stop-timeout", "1"]
    commands = [[*base, *steady, "--master", "--expect-workers", "2", "--master-bind-port", port]]
    commands += [[*base, "--worker", "--master-port", port]] * 2
    master, *workers = [
        subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for command in commands
    ]
    try:
        wait_for(lambda: any(is_planned(headers["x-request-id"]) for headers in list(shop.headers)), "the plan")
        os.kill(workers[0].pid, signal.SIGKILL)
        _, told = master.communicate(timeout=patience(60))
    finally:
        for process in (master, *workers):
            process.kill()
            process.communicate()
    found = re.search(r"120 requests were due and (\d+) missed \((\d+) lost(?:, (\d+) unanswered)?\)", told)
    assert found, told
    missed, lost, unanswered = (int(number or 0) for number in found.groups())
    assert 0 < lost <= missed == lost + unanswered <= 60
