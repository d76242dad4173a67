"""The cost of a line of the access log: microseconds and bytes, by the fields that it has.

Lines are made as `chaosapi serve` makes them, and thrown away instead of written. Each figure is the lowest of several
turns, in which the kinds of lines take turns. The goal: the line of a request with one call to a dependency takes at
most 1.8 times as long as one that has only method, path, status and seconds, as the line once was.
"""

import argparse
import json
import os
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Final

import _numbers
import _report
from rich.console import Console
from rich.table import Table

from chaosapi.calls import NOBODY, Calls, Try
from chaosapi.logger import REQUEST_ID, get_logger
from chaosapi.settings import Settings
from chaosapi.telemetry import log_writer, logs
from chaosapi.telemetry.access_log import AccessLog
from chaosapi.trace_context import current_trace, new

GOAL: Final = 1.8
LINES: Final = 5_000
USER: Final = {b"x-user-id": b"u-0042"}
DB: Final = Try("db", 1, "ok", 1.0, 0.000012)
PAYMENTS: Final = Try("payments", 1, "ok", 1.0, 0.000012)


def kinds() -> Mapping[str, Callable[[], object]]:
    """Return functions that each log a line, the shortest first."""
    bare = get_logger("chaosapi.access")
    log = AccessLog("shop-1", lambda: "2.4.1")

    def line(headers: dict[bytes, bytes], *tries: Try) -> Callable[[], None]:
        calls = Calls(NOBODY, time.perf_counter)
        calls.extend(tries)
        path = "/api/checkout"
        return lambda: log.write("POST", path, path, headers, calls, "201", 0.0012345)

    return {
        "method, path, status, seconds": lambda: bare.info(
            "request", method="POST", path="/api/checkout", status="201", seconds=0.001234
        ),
        "and route, release, replica": line({}),
        "and the user": line(USER),
        "and a call to a dependency": line(USER, DB),
        "and four calls": line(USER, DB, DB, PAYMENTS, DB),
    }


def measure(turns: int) -> tuple[dict[str, float], dict[str, int]]:
    """Return the processor time of each kind of line in microseconds, and its bytes."""
    sizes: list[int] = []
    log_writer.Output.write = lambda _, line: sizes.append(len(line))  # type: ignore[method-assign, assignment]  # writes nothing
    logs.configure(Settings(log_format="json"))
    REQUEST_ID.set("0dbf2a81-64f1-4b11-8c3d-000000000001")
    current_trace.set(new())
    took: dict[str, list[float]] = defaultdict(list)
    found: dict[str, int] = {}
    for _ in range(turns):
        for name, log in kinds().items():
            started = time.process_time()
            for _ in range(LINES):
                log()
            took[name].append(1e6 * (time.process_time() - started) / LINES)
            found[name] = sizes[-1]
            sizes.clear()
    return {name: min(values) for name, values in took.items()}, found


def main() -> int:
    """Print a table; exit with 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--turns", type=_numbers.count, default=20, help="how often each kind of line is measured")
    turns = parser.parse_args().turns
    reading, writing = os.pipe()
    if os.fork() == 0:  # logging takes over the standard streams of its process
        os.write(writing, json.dumps(measure(turns)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as results:
        took, sizes = json.load(results)
    table = Table("the line has", "µs", "bytes")
    for name, microseconds in took.items():
        table.add_row(name, f"{microseconds:.2f}", str(sizes[name]))
    Console().print(table)
    _report.keep(
        "access_log", {"us": took, "bytes": sizes}, _report.bars("A line of the access log", took, "µs"), turns=turns
    )
    bare, *_ = took.values()
    return int(took["and a call to a dependency"] > GOAL * bare)


if __name__ == "__main__":
    sys.exit(main())
