"""A real Alertmanager between fake alerts and a receiver that records notifications."""

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import yaml

from tests.patience import patience

Labels = dict[str, str]


@dataclass
class Receiver:
    """A webhook receiver, which records notifications by path."""

    url: str
    told: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def at(self, path: str, service: str = "") -> list[dict[str, Any]]:
        """Return the notifications of a path, optionally of one service."""
        found = [body for where, body in list(self.told) if where == path]
        return [body for body in found if not service or body["groupLabels"].get("service") == service]


class Alerting:
    """An Alertmanager that runs."""

    def __init__(self, http: httpx2.Client, receiver: Receiver) -> None:
        self._http = http
        self.receiver = receiver

    def send(self, *alerts: Labels, over: bool = False) -> None:
        """Send alerts as Prometheus does, firing or resolved."""
        ends = {"endsAt": datetime.now(UTC).isoformat()} if over else {}
        texts = {"summary": "it burns", "description": "fast", "dashboard_url": "/d/x", "runbook_url": "a/b.md"}
        body = [{"labels": labels, "annotations": texts, **ends} for labels in alerts]
        self._http.post("/api/v2/alerts", json=body).raise_for_status()

    def inhibited(self) -> list[Labels]:
        """Return the inhibited alerts."""
        return [each["labels"] for each in self._http.get("/api/v2/alerts").json() if each["status"]["inhibitedBy"]]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Run a receiver on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            receiver.told.append((self.path, json.loads(self.rfile.read(int(self.headers["content-length"])))))
            self.send_response(202)  # what PagerDuty asks for; all others take it too
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver = Receiver(f"http://127.0.0.1:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def alerting(program: Path, config: dict[str, Any], receiver: Receiver, folder: Path) -> Iterator[Alerting]:
    """Run an Alertmanager until the block ends; it answers when the block begins."""
    (folder / "config.yml").write_text(yaml.safe_dump(config))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    command: list[str | Path] = [
        program,
        f"--config.file={folder / 'config.yml'}",
        f"--storage.path={folder / 'data'}",
        f"--web.listen-address={address}",
        "--cluster.listen-address=",
    ]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        with httpx2.Client(base_url=f"http://{address}", timeout=patience(5)) as client:

            def ready() -> bool:
                assert process.poll() is None, (folder / "log").read_text()
                try:
                    return client.get("/-/ready").is_success
                except httpx2.TransportError:
                    return False

            eventually(ready)
            yield Alerting(client, receiver)
    finally:
        process.terminate()
        process.wait(patience(20))


def eventually(condition: Callable[[], Any]) -> Any:
    """Wait for a condition, for as long as a busy machine may need."""
    end = time.monotonic() + patience(30)
    while not (answer := condition()):
        assert time.monotonic() < end
        time.sleep(0.05)
    return answer
