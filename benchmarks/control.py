"""The latency of the control plane while the data plane is in trouble, on its own port and on the shared port.

Each trouble alone and all together. A decoy fault is ended with `DELETE /admin/faults/decoy` over and over, a new
connection each time, as an operator's curl would; then the kill switch, `DELETE /admin/faults`, ends the trouble
itself, some times. The goal: on the admin port, 99 of 100 answers within 250 ms. The clients run on
the same machine and take their share of its processors; what they add is in the figures. Loopback only.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import _numbers
import _report
import _servers
import psutil
from _servers import Server
from rich.console import Console
from rich.table import Table

GOAL = 250.0
PATIENCE = 60.0
HELD = 10_000
MEMORY = 2**30

HOLD: dict[str, Any] = {
    "effect": {"type": "latency", "distribution": {"type": "constant", "value": "1h"}, "cap": "1h"},
    "target": {"headers": {"x-crowd": "held"}},
}
PAUSE = {"effect": {"type": "pause", "pause": "2s", "every": "2500ms"}}
CPU = {"effect": {"type": "cpu", "cores": os.cpu_count()}}
FULL = {"effect": {"type": "memory", "limit": MEMORY, "rate": MEMORY}}


@dataclass(frozen=True)
class Trouble:
    """The faults by name, and the clients by kind."""

    faults: Mapping[str, Any] = field(default_factory=dict)
    crowds: Mapping[str, int] = field(default_factory=dict)


TROUBLES = {
    "none": Trouble(),
    "pause": Trouble({"pause": PAUSE}),
    "cpu": Trouble({"cpu": CPU}),
    "memory": Trouble({"memory": FULL}),
    "held": Trouble({"hold": HOLD}, {"held": HELD}),
    "flood": Trouble(crowds={"flood": 64}),
    "all": Trouble({"pause": PAUSE, "cpu": CPU, "memory": FULL, "hold": HOLD}, {"held": HELD, "flood": 64}),
}


def call(admin: str, method: str, path: str, body: Any = None) -> tuple[float, Any]:
    """Send a request on a new connection; return the milliseconds and the response, or raise TimeoutError."""
    started = time.perf_counter()
    connection = HTTPConnection(urlsplit(admin).netloc, timeout=PATIENCE)
    content = None if body is None else json.dumps(body)
    connection.request(method, path, content, {"content-type": "application/json"} if content else {})
    answer = connection.getresponse()
    text = answer.read()
    took = 1000 * (time.perf_counter() - started)
    connection.close()
    if answer.status >= 400:
        sys.exit(f"{method} {path}: {answer.status} {text.decode()}")
    return took, json.loads(text) if text.startswith(b"{") else text.decode()


@contextmanager
def crowd(url: str, connections: int, name: str) -> Iterator[None]:
    """Run the clients until the block ends."""
    host, port = urlsplit(url).netloc.split(":")
    command = [sys.executable, str(Path(__file__).parent / "_crowd.py"), host, port, str(connections), name]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            next(iter(process.stdout or ()), None)
            yield
        finally:
            process.kill()


def arm(server: Server, trouble: Trouble) -> None:
    """Inject the faults and wait until they act."""
    for name, fault in trouble.faults.items():
        call(server.admin, "PUT", f"/admin/faults/{name}", {**fault, "schedule": {"duration": "30m"}})
    deadline = time.monotonic() + 120
    while not bites(server, trouble):
        if time.monotonic() > deadline:
            sys.exit("the trouble does not bite")
        time.sleep(0.1)


def bites(server: Server, trouble: Trouble) -> bool:
    """Return whether all requests are held that should be, and all connections are used."""
    if "memory" in trouble.faults and psutil.Process(server.pid).memory_info().rss < MEMORY:
        return False
    if "hold" in trouble.faults:
        text = call(server.admin, "GET", "/admin/metrics")[1]
        return f"\nchaosapi_held_requests {float(HELD)}\n" in text
    return True


def measure(server: Server, trouble: Trouble, seconds: float, kills: int) -> tuple[list[float], list[float]]:
    """Return the milliseconds of ending a decoy fault, and of the kill switch; exit without a response."""
    ended: list[float] = []
    killed: list[float] = []
    try:
        arm(server, trouble)
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            call(server.admin, "PUT", "/admin/faults/decoy", {"effect": {"type": "error"}, "rate": 1e-9})
            ended.append(call(server.admin, "DELETE", "/admin/faults/decoy")[0])
        for _ in range(kills):
            arm(server, trouble)
            killed.append(call(server.admin, "DELETE", "/admin/faults")[0])
    except TimeoutError:
        killed.append(1000 * PATIENCE)
    ended = ended or [1000 * PATIENCE]
    return ended, killed


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of the values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def main() -> int:
    """Measure all troubles on both ports; exit with 1 if a response on the admin port misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=_numbers.positive, default=10, help="how long each trouble is measured")
    parser.add_argument("--kills", type=_numbers.count, default=5, help="how often the kill switch ends each trouble")
    parser.add_argument("--only", choices=TROUBLES, action="append", help="only this trouble; may be repeated")
    parser.add_argument("--port", choices=("admin", "shared"), action="append", help="only this port")
    arguments = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if hard != resource.RLIM_INFINITY and hard < HELD + 1000:
        sys.exit(f"{HELD} connections need more file descriptors than ulimit -Hn allows: {hard}")
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    table = Table("port", "trouble", "answers", "p50, ms", "p99, ms", "max, ms", "kill switch: p50", "max")
    late = 0
    results: list[dict[str, Any]] = []
    for port in arguments.port or ("admin", "shared"):
        settings = {"CHAOSAPI_MAX_HELD": str(2 * HELD), "CHAOSAPI_MAX_MEMORY": str(2 * MEMORY)}
        for name in arguments.only or TROUBLES:
            with ExitStack() as stack:
                log = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "log"
                command = (*_servers.SERVE, "--admin-port", "0") if port == "admin" else _servers.SERVE
                server = stack.enter_context(_servers.running(log, command, settings))
                for who, connections in TROUBLES[name].crowds.items():
                    stack.enter_context(crowd(server.url, connections, who))
                ended, killed = measure(server, TROUBLES[name], arguments.seconds, arguments.kills)
            figures = [percentile(ended, 50), percentile(ended, 99), max(ended), percentile(killed, 50), max(killed)]
            late += port == "admin" and max(figures[1], figures[4]) >= GOAL
            table.add_row(port, name, str(len(ended)), *(f"{value:.1f}" for value in figures))
            results.append({"port": port, "trouble": name, "ended": ended, "killed": killed})
            print(f"{port} {name}: {len(ended)} answers, " + " ".join(f"{value:.1f}" for value in figures), flush=True)
    Console().print(table)
    slow = {f"{each['port']} port, {each['trouble']}": percentile(each["ended"], 99) for each in results}
    _report.keep("control", results, _report.bars("Ending a fault while the service burns, p99", slow, "ms", GOAL))
    return 1 if late else 0


if __name__ == "__main__":
    sys.exit(main())
