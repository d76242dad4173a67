"""Locust, and the service's metrics of its traffic, for the benchmarks."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

import httpx2
from prometheus_client.parser import text_string_to_metric_families

FOLDER = Path(__file__).parent.parent / "loadtests"
START = re.compile(r"requests within [\d.]+ s, from (\S+) on")


@contextmanager
def locust(log: Path, url: str, *arguments: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Run Locust headless against a service until the block ends; `log` is the file of its output."""
    command = [sys.executable, "-m", "locust", "-f", str(FOLDER), "-H", url, "--headless", "--only-summary"]
    with log.open("wb") as out:
        process = subprocess.Popen([*command, "--reports", "none", *arguments], stdout=out, stderr=subprocess.STDOUT)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def start_of(log: Path, process: "subprocess.Popen[bytes]") -> float:
    """Wait until Locust logs the start of its plan; return that time in Unix seconds."""
    while not (found := START.search(log.read_text())):
        if process.poll() is not None:
            sys.exit(f"Locust did not start: {log.read_text()}")
        time.sleep(0.02)
    return datetime.fromisoformat(found[1]).timestamp()


def read(url: str) -> tuple[float, float, dict[str, float]]:
    """Return the sum over all labels of each sample in a /metrics page, by name, after the times it lies between."""
    before = time.time()
    text = httpx2.get(f"{url}/metrics").raise_for_status().text
    after = time.time()
    sums: dict[str, float] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    return before, after, sums
