"""The reaction time of a fault: from the admin API call to the first hit, and until all replicas have applied it.

One client keeps asking, one request after the other, each on a connection of its own so that every worker is asked,
while another creates a fault and ends it, over and over. One process with faults in memory; four workers that share
them in SQLite; three services of four workers that share them in Redis. How that compares with a bare Redis message is
what propagation.py tells. Loopback only.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import _numbers
import _redis
import _report
import aiohttp
import uvloop
from _servers import SERVE, Server, running
from propagation import percentile
from rich.console import Console
from rich.table import Table

FAULT: Final[dict[str, Any]] = {"name": "bench", "effect": {"type": "error"}, "schedule": {"duration": "1h"}}
WORKERS: Final = (*SERVE, "--workers", "4")
WHAT: Final = ("created: first request hit", "created: answered", "created: known to all", "ended: last request hit")


@contextmanager
def memory(folder: Path) -> Iterator[tuple[list[Server], int]]:
    """Run one service of one process."""
    with running(folder / "memory") as server:
        yield [server], 1


@contextmanager
def sqlite(folder: Path) -> Iterator[tuple[list[Server], int]]:
    """Run one service of four workers."""
    with running(folder / "sqlite", WORKERS, {"CHAOSAPI_STORE": f"sqlite:///{folder}/faults.db"}) as server:
        yield [server], 4


@contextmanager
def redis(folder: Path) -> Iterator[tuple[list[Server], int]]:
    """Run three services of four workers each."""
    with ExitStack() as stack:
        settings = {"CHAOSAPI_STORE": stack.enter_context(_redis.running())}
        yield [stack.enter_context(running(folder / f"redis-{n}", WORKERS, settings)) for n in range(3)], 12


PATIENCE: Final = 30.0
"""Time-out in seconds of each wait."""
STORES: Final = {"memory, 1 process": memory, "SQLite, 4 workers": sqlite, "Redis, 12 workers": redis}


class User:
    """Sends requests all the time, and notes the first and the last hit of a fault."""

    def __init__(self) -> None:
        self.hit = asyncio.Event()
        self.first = 0.0
        self.last = 0.0

    def saw(self, status: int, now: float) -> None:
        """Note a response; the first hit is the first since `hit` was cleared."""
        if status == 503:
            self.first = self.first if self.hit.is_set() else now
            self.last = now
            self.hit.set()

    async def run(self, url: str) -> None:
        """Send requests until cancelled."""
        async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(force_close=True)) as client:
            while True:
                async with client.get("/api/products/p-0001") as answer:
                    await answer.read()
                self.saw(answer.status, time.perf_counter())


async def change(desk: aiohttp.ClientSession, method: str, path: str, body: Any = None) -> Any:
    """Send a request to the admin API; exit if it is refused."""
    async with desk.request(method, path, json=body) as answer:
        if answer.status >= 400:
            sys.exit(f"{method} {path}: {await answer.text()}")
        return await answer.json()


async def hit(user: User, asking: "asyncio.Task[None]") -> None:
    """Wait for the first hit; exit after the time-out, or if the load has ended."""
    waiting = asyncio.create_task(user.hit.wait())
    done, _ = await asyncio.wait((waiting, asking), timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    if asking in done:
        await asking
    if not done:
        sys.exit(f"no request was hit within {PATIENCE:g} s")


async def measure(servers: Sequence[Server], replicas: int, changes: int) -> dict[str, list[float]]:
    """Return the milliseconds of each fault."""
    took: dict[str, list[float]] = {what: [] for what in WHAT}
    user = User()
    until = time.perf_counter() + PATIENCE
    async with aiohttp.ClientSession(servers[0].admin) as desk:
        while len((await change(desk, "GET", "/admin/replicas"))["replicas"]) < replicas:
            if time.perf_counter() > until:
                sys.exit(f"not all {replicas} replicas came within {PATIENCE:g} s")
            await asyncio.sleep(0.1)
        asking = asyncio.create_task(user.run(servers[-1].url))
        for number in range(2 * changes):
            wait = "?wait=2s" if number % 2 else ""
            user.hit.clear()
            started = time.perf_counter()
            fault = await change(desk, "POST", f"/admin/faults{wait}", FAULT)
            answered = time.perf_counter()
            await hit(user, asking)
            if not wait:
                took["created: answered"].append(1000 * (answered - started))
                took["created: first request hit"].append(1000 * (user.first - started))
            elif fault["receipt"]["replicas"] == {"applied": replicas, "known": replicas}:
                took["created: known to all"].append(1000 * (answered - started))
            else:
                sys.exit(f"not everywhere: {fault['receipt']['replicas']}")
            started = time.perf_counter()
            await change(desk, "DELETE", "/admin/faults/bench?wait=2s")
            took["ended: last request hit"].append(1000 * max(0.0, user.last - started))
        asking.cancel()
    return took


def main() -> int:
    """Measure all stores, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--changes", type=_numbers.count, default=100)
    changes = parser.parse_args().changes
    results = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, store in STORES.items():
            with store(Path(folder)) as (servers, replicas):
                uvloop.run(measure(servers, replicas, 5))
                results[name] = uvloop.run(measure(servers, replicas, changes))
    table = Table("", "", "p50, ms", "p99, ms", "max, ms")
    for name, took in results.items():
        for what, values in took.items():
            table.add_row(name, what, *(f"{figure:.1f}" for figure in (*quantiles(values), max(values))))
    Console(width=120).print(table)
    medians = {}
    for name, took in results.items():
        medians.update({f"{name}, {what}": quantiles(values)[0] for what, values in took.items()})
    _report.keep("reaction", results, _report.bars("From the call to its effect, median", medians, "ms"))
    return 0


def quantiles(values: Sequence[float]) -> tuple[float, float]:
    """Return median and p99."""
    return percentile(values, 50), percentile(values, 99)


if __name__ == "__main__":
    sys.exit(main())
