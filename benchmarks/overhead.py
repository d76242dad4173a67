"""The cost of chaosapi: requests per second, compared with the same shop without it and with other libraries.

One server at a time is pressed by wrk, in turn, round after round, so that whatever else the machine does meets all of
them alike; a ratio is that of two figures of the same round, and medians are taken over the rounds. Each server has
the first core, wrk the last. What the processor spends on a request (user and system, in the server) does not mind a
busy machine: where the two disagree, believe that. The goal: with metrics and 100 idle faults at least 0.95 of bare
FastAPI, and above both libraries that only have metrics.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Any, Final

import _numbers
import _report
import _rounds
import _wrk
import httpx2
import psutil
from _apps import APPS, OURS, faults
from _servers import running
from rich.console import Console
from rich.table import Table

GOAL: Final = 0.95
LOGGED: Final = "chaosapi with its access log"
"""The default; the other variants log no requests."""
PRODUCT: Final = "/api/products/p-0001"


def inject(url: str, faults: Iterable[dict[str, Any]]) -> None:
    """Inject the faults."""
    with httpx2.Client(base_url=url, timeout=30) as client:
        for fault in faults:
            client.post("/admin/faults", json=fault).raise_for_status()


def spent(pid: int) -> float:
    """Return the CPU seconds that a server has used."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def measure(url: str, pid: int, seconds: float) -> dict[str, float]:
    """Load a server; return its figures."""
    before = spent(pid)
    load = _wrk.press(url + PRODUCT, seconds)
    if load.refused or load.broken:
        sys.exit(f"{load.refused} answers were errors and {load.broken} did not come: {url}")
    cost = 1e6 * (spent(pid) - before) / load.requests
    return {"rate": load.per_second, "p99": load.p99, "cost": cost}


def main() -> int:
    """Measure all candidates; exit with 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=_numbers.positive, default=1, help="how long a server is pressed in a round")
    parser.add_argument("--rounds", type=_numbers.count, default=12)
    arguments = parser.parse_args()
    _wrk.ready()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = {}
        for name in APPS:
            command = (sys.executable, str(Path(__file__).parent / "_apps.py"), name)
            servers[name] = stack.enter_context(running(Path(folder) / name, command))
        for name in OURS:
            servers[name] = stack.enter_context(running(Path(folder) / name))
            inject(servers[name].admin, faults(name))
        logging = {"CHAOSAPI_ACCESS_LOG": "true"}
        servers[LOGGED] = stack.enter_context(running(Path(folder) / LOGGED, settings=logging))
        for server in servers.values():
            _wrk.pin(server.pid)
            measure(server.url, server.pid, 1)
        rounds = [
            {
                name: measure(servers[name].url, servers[name].pid, arguments.seconds)
                for name in _rounds.order(servers, number)
            }
            for number in range(arguments.rounds)
        ]
    results = {
        name: {
            **{what: median(figures[name][what] for figures in rounds) for what in ("rate", "p99", "cost")},
            "of bare": median(figures[name]["rate"] / figures["bare FastAPI"]["rate"] for figures in rounds),
            "by cost": median(figures["bare FastAPI"]["cost"] / figures[name]["cost"] for figures in rounds),
        }
        for name in servers
    }
    table = Table("", "requests/s", "p99, ms", "µs of processor", "of bare: requests/s", "by processor")
    for name, found in results.items():
        first = f"{found['rate']:,.0f}", f"{found['p99']:.1f}", f"{found['cost']:.0f}"
        table.add_row(name, *first, f"{found['of bare']:.3f}", f"{found['by cost']:.3f}")
    Console(width=120).print(table)
    picture = _report.bars(
        "Requests per processor second, of bare FastAPI",
        {name: found["by cost"] for name, found in results.items()},
        "1 is bare FastAPI; dashed: the goal",
        GOAL,
    )
    _report.keep("overhead", results, picture, rounds=arguments.rounds, seconds=arguments.seconds)
    idle = results["100 faults on other routes"]["by cost"]
    return (
        0 if idle >= max(GOAL, *(results[name]["by cost"] for name in ("instrumentator", "starlette-exporter"))) else 1
    )


if __name__ == "__main__":
    sys.exit(main())
