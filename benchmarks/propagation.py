"""The time until a change is applied everywhere: services with several workers each on one Redis, on this machine.

Faults are created and ended in turn, by all services in turn, with `?wait=2s`. Each change is timed from before its
request is sent to the moment at which the last replica had applied it, which each reports to the store (Redis' time,
which is this machine's), and to the answer that says so. After each change the same is done with a bare message on a
Redis channel: from before PUBLISH to the last of as many subscriber processes, with the same client library and event
loop. All of it on the same processors; every figure is of the same run. Goals: 99 of 100 changes within 50 ms, and
within three times what 99 of 100 bare messages take. Loopback only.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import _numbers
import _redis
import _report
import _servers
import redis
from rich.console import Console
from rich.table import Table

GOAL = 50.0
RATIO = 3.0
FAULT = {"effect": {"type": "error"}, "rate": 1e-9}
MESSAGE = 500 * "x"
WARM_UP = 20


class Admin:
    """The admin API of one service, on a keep-alive connection."""

    def __init__(self, url: str) -> None:
        self._connection = HTTPConnection(urlsplit(url).netloc, timeout=30)
        self._used = 0.0

    def ask(self, method: str, path: str, body: Any = None) -> Any:
        """Send one request and return the response; exit if it is refused."""
        if time.monotonic() > self._used + 2:  # the server closes what is idle
            self._connection.close()
        content = None if body is None else json.dumps(body)
        self._connection.request(method, path, content, {"content-type": "application/json"} if content else {})
        answer = self._connection.getresponse()
        text = answer.read()
        self._used = time.monotonic()
        if answer.status >= 400:
            sys.exit(f"{method} {path}: {answer.status} {text.decode()}")
        return json.loads(text)


@contextmanager
def subscribers(url: str, count: int) -> Iterator[list[subprocess.Popen[str]]]:
    """Run subscribers of the channel `bare`."""
    command = [sys.executable, str(Path(__file__).parent / "_subscriber.py"), url, "bare"]
    with ExitStack() as stack:
        processes = []
        for _ in range(count):
            processes.append(stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True)))
            stack.callback(processes[-1].kill)
        for process in processes:
            read_line(process)
        yield processes


def read_line(process: subprocess.Popen[str]) -> str:
    """Return the next line that a process writes."""
    line = next(iter(process.stdout or ()), "")
    return line.strip() or sys.exit("a subscriber has ended")


def bare(client: redis.Redis, processes: Sequence[subprocess.Popen[str]]) -> float:
    """Publish a message; return the milliseconds until the last subscriber received it."""
    started = time.time()
    client.publish("bare", MESSAGE)
    return 1000 * (max(float(read_line(process)) for process in processes) - started)


def everywhere(client: redis.Redis, revision: int, replicas: int) -> float:
    """Wait until all replicas report a revision; return when the last one applied it, in Unix seconds."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        reports = [json.loads(text) for text in client.hvals("{chaosapi}:replicas")]
        if [replica["revision"] for replica in reports] == replicas * [revision]:
            return float(max(replica["applied_at"] for replica in reports))
        time.sleep(0.005)
    sys.exit(f"revision {revision} is not everywhere: {reports}")


def measure(
    admins: Sequence[Admin], client: redis.Redis, processes: Sequence[subprocess.Popen[str]], changes: int
) -> dict[str, list[float]]:
    """Make changes; return the milliseconds until they were applied and answered, and those of bare messages."""
    took: dict[str, list[float]] = {"applied by the last replica": [], "answered": [], "a bare message": []}
    names: list[str] = []
    count = len(processes)
    for number in range(changes):
        admin = admins[number % len(admins)]
        started = time.time()
        if names:
            fault = admin.ask("DELETE", f"/admin/faults/{names.pop()}?wait=2s")
        else:
            fault = admin.ask("POST", "/admin/faults?wait=2s", FAULT)
            names.append(fault["name"])
        answered = time.time()
        if fault["receipt"]["replicas"] != {"applied": count, "known": count}:
            sys.exit(f"not everywhere: {fault['receipt']['replicas']}")
        applied = everywhere(client, fault["revision"], count)
        for what, milliseconds in zip(
            took,
            (1000 * (applied - started), 1000 * (answered - started), bare(client, processes)),
            strict=True,
        ):
            took[what].append(milliseconds)
    return took


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile of the values."""
    return sorted(values)[min(len(values) - 1, int(len(values) * percent / 100))]


def main() -> int:
    """Measure, print and write the figures; exit with 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--services", type=_numbers.count, default=3)
    parser.add_argument("--workers", type=_numbers.count, default=4, help="of each service")
    parser.add_argument("--changes", type=_numbers.count, default=500)
    arguments = parser.parse_args()
    replicas = arguments.services * arguments.workers
    workers = ("--workers", str(arguments.workers)) if arguments.workers > 1 else ()
    with ExitStack() as stack:
        url = stack.enter_context(_redis.running())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        started = [
            _servers.running(folder / f"{number}.log", (*_servers.SERVE, *workers), {"CHAOSAPI_STORE": url})
            for number in range(arguments.services)
        ]
        admins = [Admin(stack.enter_context(service).url) for service in started]
        client = stack.enter_context(redis.Redis.from_url(url))
        while client.hlen("{chaosapi}:replicas") < replicas:
            time.sleep(0.1)
        processes = stack.enter_context(subscribers(url, replicas))
        measure(admins, client, processes, WARM_UP)
        took = measure(admins, client, processes, arguments.changes)
    table = Table(f"{replicas} replicas, {arguments.changes} changes", "p50, ms", "p99, ms", "max, ms")
    for what, values in took.items():
        figures = (percentile(values, 50), percentile(values, 99), max(values))
        table.add_row(what, *(f"{figure:.2f}" for figure in figures))
    applied, _, messages = took.values()
    ratios = [percentile(applied, percent) / percentile(messages, percent) for percent in (50, 99)]
    table.add_row("applied : bare", *(f"{ratio:.2f}" for ratio in ratios), "")
    Console().print(table)
    shown = {f"{what}, p99": percentile(values, 99) for what, values in took.items()}
    picture = _report.bars(f"Until all of {replicas} replicas have it", shown, "ms; dashed: the goal", GOAL)
    _report.keep("propagation", took, picture, replicas=replicas)
    return 1 if percentile(applied, 99) >= GOAL or ratios[1] >= RATIO else 0


if __name__ == "__main__":
    sys.exit(main())
