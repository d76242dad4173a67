"""Load from wrk, pinned to its own core."""

import os
import re
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

_UNITS = {"us": 0.001, "ms": 1.0, "s": 1000.0, "m": 60_000.0}


class Load(NamedTuple):
    """The output of wrk: requests, requests per second, percentiles in ms, statuses above 399, unanswered requests."""

    requests: int
    per_second: float
    p50: float
    p99: float
    refused: int
    broken: int


def ready() -> None:
    """Exit if wrk or taskset is missing."""
    for program, package in (("wrk", "wrk"), ("taskset", "util-linux")):
        if not shutil.which(program):
            sys.exit(f"{program} is missing: apt-get install {package}")


def pin(pid: int) -> None:
    """Pin a server to the first core, each of its threads: running threads do not inherit the affinity."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # it may end meanwhile
            os.sched_setaffinity(int(task.name), {0})


def press(url: str, seconds: float, connections: int = 32, *, pinned: bool = True) -> Load:
    """Load a URL from a closed loop of connections, on the last core if pinned."""
    last = (os.cpu_count() or 1) - 1
    cores = str(last) if pinned else f"0-{last}"
    command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s", "--latency", url]
    command = ["taskset", "-c", cores, *command]
    return read(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def read(text: str) -> Load:
    """Parse the output of wrk."""
    requests = re.search(r"(\d+) requests in", text)
    rate = re.search(r"Requests/sec:\s*([\d.]+)", text)
    if not (requests and rate):
        sys.exit(f"wrk failed: {text}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    return Load(
        int(requests[1]),
        float(rate[1]),
        _percentile(text, 50),
        _percentile(text, 99),
        int(refused[1]) if refused else 0,
        sum(map(int, broken.groups())) if broken else 0,
    )


def _percentile(text: str, percent: int) -> float:
    found = re.search(rf"{percent}%\s+([\d.]+)(us|ms|s|m)\b", text)
    return float(found[1]) * _UNITS[found[2]] if found else 0.0
