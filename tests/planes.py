"""A service as a process, with the URLs of its two planes: users and admin."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import httpx2

from tests.patience import patience

COMMAND = [sys.executable, "-m", "chaosapi", "serve", "--port", "0"]


@dataclass(frozen=True)
class Planes:
    """The URLs for users and for the admin API, and the process."""

    users: str
    admin: str
    process: subprocess.Popen[bytes]

    def inject(self, effect: dict[str, Any], **fault: Any) -> dict[str, Any]:
        """Inject the fault `f` and return it."""
        answer = httpx2.put(f"{self.admin}/admin/faults/f", json={"effect": effect, **fault}, timeout=patience(30))
        assert answer.is_success, answer.text
        shown: dict[str, Any] = answer.raise_for_status().json()
        return shown

    def fault(self) -> dict[str, Any]:
        """Return the fault `f` with its receipt."""
        shown: dict[str, Any] = (
            httpx2.get(f"{self.admin}/admin/faults/f", timeout=patience(30)).raise_for_status().json()
        )
        return shown

    def end(self) -> dict[str, Any]:
        """End the fault `f` and return it."""
        answer = httpx2.delete(f"{self.admin}/admin/faults/f", timeout=patience(30))
        shown: dict[str, Any] = answer.raise_for_status().json()
        return shown

    def metrics(self) -> list[str]:
        """Return the lines of the metrics."""
        pages = ("/metrics", "/admin/metrics")
        lines = (httpx2.get(self.admin + page, timeout=patience(30)).text.splitlines() for page in pages)
        return list(chain.from_iterable(lines))


@contextmanager
def started(log: Path, *, apart: bool = True, prefix: Sequence[str] = (), **environment: str) -> Iterator[Planes]:
    """Start the service, the admin API on a port of its own unless told; its log goes to a file.

    `prefix` is a command that runs the rest of its line.
    """
    settings = {"CHAOSAPI_ACCESS_LOG": "false", "CHAOSAPI_LOG_FORMAT": "json", **environment}
    with log.open("wb") as out:
        process = subprocess.Popen(
            [*prefix, *COMMAND, *(["--admin-port", "0"] if apart else [])],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, **settings},
        )
    try:
        admin = users = None
        while not (admin and users):
            assert process.poll() is None, f"the service did not start: {log.read_text()}"
            time.sleep(0.02)
            for line in log.read_text().splitlines(keepends=True):
                entry = json.loads(line) if line.endswith("\n") and line.startswith("{") else {}
                message = entry.get("event", "")
                if message == "admin API":
                    admin = entry["url"]
                elif message.startswith("Uvicorn running on http"):
                    users = message.split()[3]
                    admin = admin if apart else users
        yield Planes(users, admin, process)
    finally:
        process.terminate()
        process.wait(patience(30))
