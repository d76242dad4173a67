"""Restart the service by SIGTERM under load, without a load balancer: `python -m fuzz.restarts --restarts 20`.

Clients know nothing of the restart. Some keep their connections, some make a new one for each request. Every request
that gets no whole answer is counted by what had become of it: `never connected` (the port was closed, no harm done),
`never accepted` (the kernel had taken the connection, the service had not read from it: it cannot know), `not served`
(on a kept connection, sent when the service was closing it, which HTTP tells clients to send again), and `lost`, which
must be none: served, or being served, or begun to be answered.
"""

import argparse
import re
import signal
import socket
import sys
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from fuzz import service as services
from fuzz.service import HOST

_CLIENTS: Final = 64
_HEADERS: Final = "host: localhost\r\nx-request-id: {}\r\n"
_PATIENCE: Final = 20.0


@dataclass
class Load:
    """Clients of one port, and the outcomes of their requests."""

    port: int
    over: threading.Event = field(default_factory=threading.Event)
    seen: Counter[str] = field(default_factory=Counter)
    unanswered: dict[str, str] = field(default_factory=dict)
    """The client's view of each unanswered request, by request id."""

    def client(self, number: int) -> None:
        """Send one request after the other until the run is over."""
        keep = number % 4 == 0
        link: socket.socket | None = None
        count = 0
        while not self.over.is_set():
            count += 1
            name = f"r{number}-{count}"
            fresh = link is None
            if link is None:
                link = _connect(self.port)
            if link is None:
                self.seen["never connected"] += 1
                time.sleep(0.02)
                continue
            how, keeps = _send_request(link, name, keep=keep)
            self.seen[how] += 1
            if how != "answered":
                self.unanswered[name] = f"{how}{', on a new connection' if fresh else ', on a kept connection'}"
            if how != "answered" or not keeps:
                link.close()
                link = None


def _connect(port: int) -> socket.socket | None:
    try:
        return socket.create_connection((HOST, port), _PATIENCE)
    except OSError:
        return None


def _send_request(link: socket.socket, name: str, *, keep: bool) -> tuple[str, bool]:
    """Send one request; return its outcome, and whether the connection stays open."""
    closing = "" if keep else "connection: close\r\n"
    data = b""
    try:
        link.sendall(f"GET /api/products HTTP/1.1\r\n{_HEADERS.format(name)}{closing}\r\n".encode())
        while not _is_complete(data):
            part = link.recv(65536)
            if not part:
                break
            data += part
    except OSError:
        pass
    if _is_complete(data):
        return "answered", keep and b"connection: close" not in data.lower()
    return "answer broken off" if data else "no answer", False


def _is_complete(data: bytes) -> bool:
    head, gap, body = data.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return bool(gap) and length is not None and len(body) >= int(length[1])


def restart(folder: Path, python: str, workers: int, seconds: float) -> tuple[Counter[str], int | None]:
    """Load a service, stop it by SIGTERM, and return the outcomes of the requests and the exit status."""
    settings = {"CHAOSAPI_ACCESS_LOG": "true"}
    service = services.start(services.command(python, apart=True, workers=workers), folder, settings)
    load = Load(service.users)
    clients = [threading.Thread(target=load.client, args=(number,)) for number in range(_CLIENTS)]
    slow = {"effect": {"type": "latency", "distribution": {"type": "uniform", "low": 0, "high": "30ms"}}}
    service.call("PUT", "/admin/faults/slow", slow)
    for client in clients:
        client.start()
    time.sleep(seconds)
    service.process.send_signal(signal.SIGTERM)
    try:
        status: int | None = service.process.wait(60)
    except Exception:  # noqa: BLE001 - the service did not end, for any reason
        status = services.stop(service.process)
    load.over.set()
    for client in clients:
        client.join()
    served = service.log.read_text(errors="replace")
    found = Counter({"answered": load.seen["answered"], "never connected": load.seen["never connected"]})
    for name, how in load.unanswered.items():
        if "broken off" in how or f'"{name}"' in served:
            found["lost"] += 1
        elif "kept" in how:
            found["not served"] += 1
        else:
            found["never accepted"] += 1
    return found, status


def main() -> int:
    """Restart a service repeatedly; return 1 if a request was lost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--restarts", type=int, default=20)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=1.0, help="how long the load goes on before SIGTERM")
    parser.add_argument("--python", default=sys.executable, help="the interpreter whose chaosapi is tried")
    arguments = parser.parse_args()
    total: Counter[str] = Counter()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="restarts-") as name:
        for _ in range(arguments.restarts):
            found, status = restart(Path(name), arguments.python, arguments.workers, arguments.seconds)
            total += found
            wrong += status != 0
    print(f"{arguments.restarts} restarts, {arguments.workers} workers: exit status not 0: {wrong}")
    for what in ("answered", "lost", "not served", "never accepted", "never connected"):
        print(f"{total[what]:8,} {what}")
    return 1 if total["lost"] or wrong else 0


if __name__ == "__main__":
    sys.exit(main())
