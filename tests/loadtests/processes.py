"""Locust as a process, because importing it patches the standard library."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2

from chaosapi import assets
from tests.patience import patience

LOADTESTS = assets.path("loadtests")
ENVIRONMENT = {key: value for key, value in os.environ.items() if not key.startswith(("LOCUST_", "CHAOSAPI_"))}


def locust(
    *arguments: str,
    host: str = "http://127.0.0.1:9",
    file: Path = LOADTESTS,
    folder: Path = LOADTESTS.parent,
    stats: Path | None = None,
    reports: str = "none",
    **environment: str,
) -> subprocess.CompletedProcess[str]:
    """Run Locust headless to its end; it writes its statistics to `stats`.json."""
    return subprocess.run(
        [
            sys.executable,
            "-m",
            "locust",
            "-f",
            str(file),
            "-H",
            host,
            "--headless",
            "--only-summary",
            "--reports",
            reports,
        ]
        + (["--json-file", str(stats)] if stats else [])
        + list(arguments),
        cwd=folder,
        env={**ENVIRONMENT, **environment},
        capture_output=True,
        text=True,
        timeout=patience(60),
        check=False,
    )


def statistics(path: Path) -> list[dict[str, Any]]:
    """Read Locust's statistics, one entry for each name."""
    entries: list[dict[str, Any]] = json.loads(path.read_text())
    return entries


@contextmanager
def running(*arguments: str) -> Iterator[None]:
    """Keep Locust running in the background."""
    process = subprocess.Popen(
        [sys.executable, "-m", "locust", "-f", "loadtests/", *arguments],
        cwd=LOADTESTS.parent,
        env={**ENVIRONMENT, "CHAOSAPI_SCENARIO_REPORTS": "none"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait(patience(20))


@contextmanager
def web_ui(*arguments: str) -> Iterator[str]:
    """Run Locust with its web UI and give the URL."""
    url = f"http://127.0.0.1:{(port := free_port())}"
    with running("--web-host", "127.0.0.1", "--web-port", str(port), *arguments):
        wait_for(lambda: answers(f"{url}/"), "the web UI")
        yield url


def answers(url: str) -> bool:
    """Return whether `url` answers 200."""
    try:
        return httpx2.get(url).status_code == 200
    except httpx2.TransportError:
        return False


def wait_for(condition: Callable[[], bool], what: str, at_most: float = 30) -> None:
    """Return as soon as the condition holds; fail after `at_most` seconds."""
    deadline = time.monotonic() + patience(at_most)
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not come within {at_most} s"
        time.sleep(0.05)


def free_port() -> int:
    """Return a free port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
