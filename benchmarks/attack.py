"""The cost of the largest accepted requests, and of floods of them, to all other clients.

Each attack comes from processes of its own while this one asks both ports' /healthz and pulls the kill switch, a new
connection each time. An event loop that is held answers late: the promise is that no request holds one for more than
50 ms, measured as the time of 99 in 100 probes beyond that of an idle service on the same machine, and that 99 of 100
kill switches are answered within 250 ms. After all of it the memory is compared with that of a service that was asked
everything once. Attackers take their share of this machine's processors, which is in the figures. Loopback only.
"""

import argparse
import json
import multiprocessing
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import _numbers
import _report
import _servers
import psutil
from _servers import Server
from rich.console import Console
from rich.table import Table

HELD: Final = 50.0
"""Milliseconds by which a probe may be slower than on an idle service."""
KILLED: Final = 250.0
GROWN: Final = 1.2
PATIENCE: Final = 30.0
LIVE: Final = 100
"""The highest number of live faults."""

Send = Callable[[str, str, Any], int]
Body = dict[str, Any]

LARGE: Final = {"type": "error", "body": [[0, "x" * 5] for _ in range(3000)]}
"""An error's body near the limits of size and depth."""
NOW: Final = "2026-01-01T00:00:00Z"
GUARD: Final = {"stop_when": {"alert": "A", "labels": {f"l{number}": "no" for number in range(15)}}}
FORECAST: Final = {
    "effect": {"type": "hang"},
    "schedule": {"duration": "23h", "shape": {"type": "sine", "period": "30s"}},
    "monitoring": {"scrape": "2s", "evaluation": "2s"},
}


def fault(seed: int) -> Body:
    """Return one of the largest faults, with a guard and a shape."""
    shape = {"type": "bursts", "on": "4s", "off": "5s"}
    schedule = {"duration": "23h", "shape": shape}
    return {"effect": LARGE, "rate": 1e-6, "seed": seed, "guard": GUARD, "schedule": schedule}


def notification(alerts: Sequence[Body]) -> Body:
    """Return a notification of Alertmanager."""
    return {"version": "4", "groupKey": "g", "status": "firing", "receiver": "r", "alerts": alerts}


def alert(number: int, text: str = "") -> Body:
    """Return an alert that all guards compare with their labels."""
    labels = {"alertname": "A", "number": f"{number}"}
    annotations = {"text": text} if text else {}
    return {"status": "firing", "labels": labels, "annotations": annotations, "startsAt": NOW, "endsAt": NOW}


def fill(send: Send) -> None:
    """Fill everything that the service keeps: live and ended faults, the audit, alerts."""
    for turn in range(2):
        for number in range(LIVE):
            send("PUT", f"/admin/faults/{turn}-{number}", fault(number))
        send("DELETE", "/admin/faults", None)
    for start in range(0, 1000, 100):
        send("POST", "/hooks/alertmanager", notification([alert(start + place, "x" * 1900) for place in range(100)]))


def arm(send: Send) -> None:
    """Create the highest number of live faults."""
    for number in range(LIVE):
        send("PUT", f"/admin/faults/1-{number}", fault(number))


def asks(method: str, path: str, body: Any = None) -> Callable[[Send, int], object]:
    """Return an attack that repeats one request."""
    return lambda send, _: send(method, path, body)


def replaces(send: Send, turn: int) -> object:
    """Replace a fault by another large fault of the same name."""
    return send("PUT", "/admin/faults/again", fault(turn))


ATTACKS: Final[Mapping[str, tuple[int, Callable[[Send, int], object]]]] = {
    "none": (0, asks("GET", "/healthz")),
    "lists of faults": (8, asks("GET", "/admin/faults")),
    "the whole audit": (8, asks("GET", "/admin/audit?limit=10000")),
    "lists of alerts": (8, asks("GET", "/admin/alerts?limit=1000")),
    "large faults": (4, replaces),
    "alerts on guards": (4, asks("POST", "/hooks/alertmanager", notification([alert(n) for n in range(2900)]))),
    "wrong alerts": (4, asks("POST", "/hooks/alertmanager", notification([{}] * 330_000))),
    "wrong fields": (4, asks("POST", "/admin/faults", {"effect": LARGE, **{f"f{n}": n for n in range(9_000)}})),
    "forecasts": (20, asks("POST", "/admin/forecast", FORECAST)),
    "scores": (8, asks("GET", "/admin/faults/1-0/score")),
    "metrics": (8, asks("GET", "/metrics")),
    "catalogue": (8, asks("GET", "/admin/effects")),
    "description": (8, asks("GET", "/admin/openapi.json")),
    "waiting": (8, asks("PUT", "/admin/faults/slow?wait=5s", {"effect": {"type": "error"}, "rate": 1e-6})),
}
"""The number of concurrent connections of each attack, and their requests."""


def sender(url: str) -> Send:
    """Return a function that sends a request on a new connection and returns the status; 0 without a response."""
    host = urlsplit(url).netloc

    def send(method: str, path: str, body: Any) -> int:
        connection = HTTPConnection(host, timeout=PATIENCE)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"content-type": "application/json"} if content else {})
            answer = connection.getresponse()
            answer.read()
        except (OSError, HTTPException):
            return 0
        else:
            return answer.status
        finally:
            connection.close()

    return send


def attacker(url: str, name: str) -> None:
    """Attack until killed, for at most a minute."""
    signal.alarm(60)
    send = sender(url)
    attack = ATTACKS[name][1]
    turn = os.getpid() * 1000
    while True:
        attack(send, turn)
        turn += 1


@contextmanager
def attacked(url: str, name: str) -> Iterator[None]:
    """Run the attackers until the block ends."""
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=attacker, args=(url, name), daemon=True) for _ in range(ATTACKS[name][0])]
    for process in processes:
        process.start()
    try:
        yield
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.join()


def timed(act: Callable[[], int], good: Sequence[int] = (200,)) -> float:
    """Return the milliseconds until the expected response; a value above every time-out for any other outcome."""
    started = time.perf_counter()
    status = act()
    took = 1000 * (time.perf_counter() - started)
    return took if status in good else max(took, 1000 * PATIENCE)


def measure(server: Server, name: str, seconds: float) -> dict[str, list[float]]:
    """Return the latencies in milliseconds of probes on both ports, and of kill switches, during an attack."""
    public = sender(server.url)
    admin = sender(server.admin)
    latencies: dict[str, list[float]] = {"public": [], "admin": [], "kill": []}
    arm(admin)
    with attacked(server.admin, name):
        until = time.monotonic() + seconds
        turn = 0
        while time.monotonic() < until:
            latencies["public"].append(timed(partial(public, "GET", "/healthz", None)))
            latencies["admin"].append(timed(partial(admin, "GET", "/healthz", None)))
            if turn % 10 == 9:
                latencies["kill"].append(timed(partial(admin, "DELETE", "/admin/faults", None)))
            turn += 1
            time.sleep(0.005)
    return latencies


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of the values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def memory(server: Server) -> float:
    """Return the resident memory of the service in MiB."""
    return float(psutil.Process(server.pid).memory_info().rss / 2**20)


def main() -> int:
    """Measure all attacks on both ports; exit with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=_numbers.positive, default=6, help="how long each attack lasts")
    parser.add_argument("--only", choices=ATTACKS, action="append", help="only this attack; may be repeated")
    parser.add_argument("--port", choices=("admin", "shared"), action="append", help="only this port")
    arguments = parser.parse_args()
    table = Table(
        "port", "attack", "probes", "public p99, ms", "max", "admin p99", "max", "kill p50", "p99", "max", "MiB"
    )
    missed: list[str] = []
    results: list[dict[str, Any]] = []
    for port in arguments.port or ("admin", "shared"):
        command = (*_servers.SERVE, "--admin-port", "0") if port == "admin" else _servers.SERVE
        with tempfile.TemporaryDirectory() as folder, _servers.running(Path(folder) / "log", command) as server:
            send = sender(server.admin)
            fill(send)
            for _, attack in ATTACKS.values():
                attack(send, 0)
            before = memory(server)
            idle = {"public": 0.0, "admin": 0.0}
            for name in dict.fromkeys(["none", *(arguments.only or ATTACKS)]):
                latencies = measure(server, name, arguments.seconds)
                late = {loop: percentile(latencies[loop], 99) for loop in idle}
                idle = late if name == "none" else idle
                killed = percentile(latencies["kill"], 99)
                figures = [late["public"], max(latencies["public"]), late["admin"], max(latencies["admin"])]
                figures += [percentile(latencies["kill"], 50), killed, max(latencies["kill"])]
                shown = [f"{value:.1f}" for value in figures]
                table.add_row(port, name, str(len(latencies["admin"])), *shown, f"{memory(server):.0f}")
                print(f"{port} {name}: {' '.join(shown)} ms, {memory(server):.0f} MiB", flush=True)
                results.append({"port": port, "attack": name, **latencies})
                missed += [f"{port} port, {name}: {loop} loop" for loop in idle if late[loop] > idle[loop] + HELD]
                missed += [f"{port} port, {name}: kill switch"] * (killed >= KILLED)
            sender(server.admin)("DELETE", "/admin/faults", None)
            time.sleep(5)
            after = memory(server)
            print(f"{port}: {before:.0f} MiB before, {after:.0f} MiB after", flush=True)
            missed += [f"{port} port: memory grew by {after / before - 1:.0%}"] * (after > GROWN * before)
    Console().print(table)
    for each in missed:
        print(f"MISSED {each}")
    slow = {f"{each['port']}, {each['attack']}": percentile(each["kill"], 99) for each in results}
    _report.keep("attack", results, _report.bars("The kill switch under attack, p99", slow, "ms", KILLED))
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
