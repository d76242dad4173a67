"""One replica with its clock, its network, and users who send requests all the time."""

import itertools
import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import httpx2

from tests.failures.networks import Link
from tests.patience import patience
from tests.planes import started

_CLOCK: Final = Path(__file__).parent / "clock"
_BREATH: Final = 0.02
"""Seconds between two requests of the users."""


@dataclass(frozen=True)
class Visit:
    """One request of a user: when it was sent and answered, Unix seconds, and how."""

    sent: float
    answered: float
    status: int | None
    """None without a response."""
    fault: str | None = None
    """The fault that the response names."""


class Site:
    """A service on a shared store, and its users."""

    def __init__(self, folder: Path, number: int, store: str, clock_off: float, link: Link | None) -> None:
        self.link = link
        self.clock_off = clock_off
        self.visits: list[Visit] = []
        self._folder = folder
        self._number = number
        self._store = store
        self._absences: list[tuple[float, float]] = []
        self._starts = itertools.count(1)
        self._over = threading.Event()
        self._stack = ExitStack()
        self.client = self._stack.enter_context(httpx2.Client(timeout=patience(60)))
        self._users = threading.Thread(target=self._visit, daemon=True)

    def open(self) -> None:
        """Start the service and its users."""
        self._start()
        self._users.start()

    def close(self) -> None:
        """Stop the users and the service."""
        self._over.set()
        if self._users.is_alive():
            self._users.join()
        self._stack.close()

    def _start(self) -> None:
        log = self._folder / f"replica-{self._number}-{next(self._starts)}.log"
        settings = {"CHAOSAPI_STORE": self._store, "CHAOSAPI_MARK_RESPONSES": "true"}
        wrong = {"PYTHONPATH": str(_CLOCK), "CLOCK_OFF": str(self.clock_off)} if self.clock_off else {}
        begun = time.time()
        with self.inside():
            self.planes = self._stack.enter_context(started(log, apart=False, **settings, **wrong))
        self.starting = begun, time.time()

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Enter the network namespace of the service."""
        with self.link.host.entered() if self.link else nullcontext():
            yield

    @contextmanager
    def absent(self) -> Iterator[None]:
        """Kill the service, and start it again."""
        since = time.time()
        self.planes.process.kill()
        self.planes.process.wait()
        try:
            yield
        finally:
            self._start()
            self._absences.append((since, time.time()))

    def read(self, path: str) -> Any:
        """Read from the admin API."""
        with self.inside():
            answer = self.client.get(f"{self.planes.admin}{path}")
        assert answer.is_success, f"replica {self.clock_off:+g} s, {path}: {answer.text}"
        return answer.json()

    def seen(self, since: float) -> int:
        """Return how many replicas have sent a heartbeat after a time (Unix seconds), as this one knows."""
        replicas = self.read("/admin/replicas")["replicas"]
        return sum(datetime.fromisoformat(each["last_seen"]).timestamp() > since for each in replicas)

    @property
    def revision(self) -> int:
        """The applied revision."""
        return self.standing()[1]

    def standing(self) -> tuple[bool, int]:
        """Return whether the store is up, and the applied revision, according to the metrics."""
        with self.inside():
            pages = (f"{self.planes.admin}/metrics", f"{self.planes.admin}/admin/metrics")
            text = "".join(self.client.get(page).raise_for_status().text for page in pages)
        up, revision = (
            float(re.findall(rf"^chaosapi_{name} (\S+)$", text, re.MULTILINE)[0]) for name in ("store_up", "revision")
        )
        return up == 1, int(revision)

    def errors(self) -> list[str]:
        """Return the error lines of its log."""
        logs = self._folder.glob(f"replica-{self._number}-*.log")
        lines = [line for log in logs for line in log.read_text().splitlines(keepends=True)]
        entries = [json.loads(line) for line in lines if line.startswith("{") and line.endswith("\n")]
        assert any(entry["level"] == "info" for entry in entries), f"no log can be read: {lines}"
        return [str(entry) for entry in entries if entry["level"] == "error"]

    def excused(self, visit: Visit) -> bool:
        """Return whether the service was down during the whole request."""
        return any(visit.sent < back and since < visit.answered for since, back in self._absences)

    def _visit(self) -> None:
        with self.inside(), httpx2.Client(timeout=patience(60)) as client:
            while not self._over.wait(_BREATH):
                sent = time.time()
                try:
                    answer = client.get(f"{self.planes.users}/api/products")
                except httpx2.TransportError:
                    self.visits.append(Visit(sent, time.time(), None))
                else:
                    fault = answer.headers.get("x-chaos-fault")
                    self.visits.append(Visit(sent, time.time(), answer.status_code, fault))
