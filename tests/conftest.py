"""Shared fixtures: the service in and out of process, a fake clock, and the real tools."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from chaosapi.app import create_app
from chaosapi.lab import tools as lab_tools
from chaosapi.settings import Settings
from tests.patience import patience

MakeClient = Callable[..., TestClient]
Serve = Callable[..., str]


class Clock:
    """A fake clock; it starts at a plain time of day."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Extend each test's time-out on a busy machine."""
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(patience(300)))


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("CHAOSAPI_") and name != "CHAOSAPI_TOOLS_DIR":
            monkeypatch.delenv(name)
    monkeypatch.setenv("CHAOSAPI_LAB", "none")  # another test may run a lab


@pytest.fixture
def clock() -> Clock:
    """Return a fake clock."""
    return Clock()


@pytest.fixture
def make_client(clock: Clock) -> Iterator[MakeClient]:
    """Return a function that starts the whole service in this process, with settings as arguments."""
    with ExitStack() as stack:

        def make(**settings: object) -> TestClient:
            app = create_app(Settings.model_validate({"access_log": False, **settings}), clock, steady=clock)
            return stack.enter_context(TestClient(app, base_url="http://localhost:8000"))

        yield make


@pytest.fixture
def client(make_client: MakeClient) -> TestClient:
    """Return a client of a new service with default settings."""
    return make_client()


@contextmanager
def _served(log: Path, arguments: list[str], environment: dict[str, str]) -> Iterator[str]:
    command = [sys.executable, "-m", "chaosapi", "serve", "--port", "0", *arguments]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, env={**os.environ, **environment})
    try:
        while not (found := re.search(r"Uvicorn running on (\S+)", log.read_text())):
            assert process.poll() is None, f"the service did not start: {log.read_text()}"
            time.sleep(0.02)
        yield found[1]
    finally:
        process.terminate()
        process.wait(patience(20))


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Return a function that starts `chaosapi serve` as a process on a free port and returns its URL."""
    with ExitStack() as stack:

        def start(*arguments: str, **environment: str) -> str:
            log = tmp_path / f"serve-{len(list(tmp_path.iterdir()))}.log"
            quiet = {"CHAOSAPI_ACCESS_LOG": "false", "CHAOSAPI_LOG_FORMAT": "json", **environment}
            return stack.enter_context(_served(log, list(arguments), quiet))

        yield start


@pytest.fixture(scope="session")
def tools() -> dict[str, Path]:
    """Return the paths of the real Prometheus, promtool, Alertmanager and amtool, downloaded once into .tools/."""
    return lab_tools.ensure_programs("prometheus", "promtool", "alertmanager", "amtool")
