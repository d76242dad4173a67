"""The CPU time that `chaosapi.install` adds to a request of a FastAPI app with two routes.

Real servers take turns under wrk: the app alone, and the same app with chaosapi installed, without faults and with 100
faults that target the other route. A ratio is the bare app's processor time over that of the other, in the same turn;
medians are taken over the turns. The access log is off. The goal: at least 0.93.
"""

import argparse
import os
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from typing import Final

import _numbers
import _report
import _rounds
import _wrk
import uvicorn
from _servers import running
from fastapi import FastAPI
from overhead import inject, spent
from rich.console import Console
from rich.table import Table

import chaosapi
from chaosapi.settings import Settings

GOAL: Final = 0.93
BARE: Final = "bare FastAPI"
INSTALLED: Final = "with chaosapi.install"
IDLE: Final = "with 100 idle faults"
FAULT: Final = {"effect": {"type": "error"}, "target": {"routes": ["/orders"]}, "schedule": {"duration": "1h"}}


def make() -> FastAPI:
    """Return the app that BENCHED_APP names."""
    app = FastAPI()

    @app.get("/items/{item_id}")
    async def read_item(item_id: int) -> dict[str, int]:
        return {"id": item_id}

    @app.get("/orders")
    async def list_orders() -> list[int]:
        return []

    if os.environ["BENCHED_APP"] != BARE:
        chaosapi.install(app, Settings(access_log=False))
    return app


def processor_time(url: str, pid: int, seconds: float) -> float:
    """Return the CPU microseconds of the server per request."""
    before = spent(pid)
    load = _wrk.press(f"{url}/items/7", seconds)
    if load.refused or load.broken:
        sys.exit(f"{load.refused} answers were errors and {load.broken} did not come: {url}")
    return 1e6 * (spent(pid) - before) / load.requests


def main() -> int:
    """Print a table; exit with 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=_numbers.count, default=9)
    parser.add_argument("--seconds", type=_numbers.positive, default=3, help="how long a server is loaded in a round")
    arguments = parser.parse_args()
    _wrk.ready()
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        servers = {}
        for name in (BARE, INSTALLED, IDLE):
            command = (sys.executable, __file__, name)
            servers[name] = stack.enter_context(running(Path(folder) / name, command))
        inject(servers[IDLE].admin, [{"name": f"idle-{number}", **FAULT} for number in range(100)])
        for server in servers.values():
            _wrk.pin(server.pid)
            processor_time(server.url, server.pid, 1)
        took: dict[str, list[float]] = {name: [] for name in servers}
        for number in range(arguments.rounds):
            for name in _rounds.order(servers, number):
                took[name].append(processor_time(servers[name].url, servers[name].pid, arguments.seconds))
    ratios = {name: median(bare / other for bare, other in zip(took[BARE], took[name], strict=True)) for name in took}
    table = Table("", "µs of processor a request", "of bare, by processor")
    for name, values in took.items():
        table.add_row(name, f"{median(values):.1f}", f"{ratios[name]:.3f}")
    Console().print(table)
    _report.keep("installed", ratios, _report.bars("Bare FastAPI over installed", ratios, "dashed: the goal", GOAL))
    return int(ratios[IDLE] < GOAL)


if __name__ == "__main__":
    if len(sys.argv) == 2 and not sys.argv[1].startswith("-"):
        os.environ["BENCHED_APP"] = sys.argv[1]
        uvicorn.run(make(), port=0, loop="uvloop", http="httptools", ws="none", access_log=False)
    else:
        sys.exit(main())
