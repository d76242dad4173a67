"""Other ASGI servers, as processes with an app that has chaosapi installed."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx2
import psutil

from tests.patience import patience

_PREFORK: Final = "gunicorn {app} -w {workers} -b 127.0.0.1:{port} --graceful-timeout 5 -k"
COMMANDS: Final = {
    "uvicorn": "uvicorn {app} --workers {workers} --port {port}",
    "uvicorn-h11": "uvicorn {app} --workers {workers} --port {port} --http h11",
    "gunicorn": f"{_PREFORK} uvicorn_worker.UvicornWorker",
    "gunicorn-preload": f"{_PREFORK} uvicorn_worker.UvicornWorker --preload",
    "gunicorn-uvicorn": f"{_PREFORK} uvicorn.workers.UvicornWorker",
    "gunicorn-asgi": f"{_PREFORK} asgi",
    "hypercorn": "hypercorn {app} -w {workers} -b 127.0.0.1:{port}",
    "granian": "granian {app} --interface asgi --workers {workers} --port {port} --respawn-failed-workers",
}
"""The command line of each server; all are modules of Python."""


@dataclass(frozen=True)
class Served:
    """A running server."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path
    client: httpx2.Client = field(default_factory=lambda: httpx2.Client(headers={"connection": "close"}))

    def get(self, path: str, **how: Any) -> httpx2.Response:
        """Send a request on a new connection: any worker may respond."""
        return self.client.get(self.url + path, timeout=patience(30), **how)

    def change(self, method: str, path: str, **how: Any) -> dict[str, Any]:
        """Send a change to the admin API with a wait for all workers; return the response."""
        answer = self.client.request(method, f"{self.url}/admin/{path}?wait=30s", timeout=patience(60), **how)
        shown: dict[str, Any] = answer.raise_for_status().json()
        return shown

    def replicas(self) -> dict[int, str]:
        """Return the live replicas: process ids and names."""
        return {each["pid"]: each["id"] for each in self.get("/admin/replicas").json()["replicas"]}

    def workers(self) -> list[psutil.Process]:
        """Return the processes that the server has started."""
        return psutil.Process(self.process.pid).children(recursive=True)


def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds; connections may fail meanwhile."""
    deadline = time.monotonic() + patience(60)
    while True:
        try:
            if condition():
                return
        except httpx2.TransportError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.02)


def free_port() -> int:
    """Return a free port."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        port: int = bound.getsockname()[1]
    return port


@contextmanager
def running(server: str, app: str, folder: Path, workers: int = 1, **environment: str) -> Iterator[Served]:
    """Start a server; `folder` has its log and temporary files. It may not be ready yet, or end at once."""
    port = free_port()
    words = COMMANDS[server].format(app=app, workers=workers, port=port).split()
    log = folder / f"{server}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", *words],
            stdout=out,
            stderr=subprocess.STDOUT,
            env={**os.environ, "TMPDIR": str(folder), **environment},
        )
    served = Served(f"http://127.0.0.1:{port}", process, log)
    family = []
    try:
        with served.client:
            yield served
    finally:
        if process.poll() is None:
            family = served.workers()
            process.terminate()
        try:
            process.wait(patience(30))
        finally:
            for each in family:
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.kill()
            process.wait()


@contextmanager
def serving(server: str, app: str, folder: Path, workers: int = 1, **environment: str) -> Iterator[Served]:
    """Start a server, and yield it once each worker has reported to the store."""
    with running(server, app, folder, workers, **environment) as served:
        until(lambda: _ready(served, workers))
        yield served


def _ready(served: Served, workers: int) -> bool:
    assert served.process.poll() is None, f"the server did not start: {served.log.read_text()}"
    return len(served.replicas()) == workers
