"""The growth of costs with faults, routes, label sets and held requests: each curve is flat, linear, or worse.

Without a network, as in cost.py: what a request costs as faults on its own route (that mean others, or are too rare to
hit) and on other routes grow from 0 to 100, and as an app grows from 10 to 1,000 routes, with and without chaosapi;
what chaosapi itself takes to find the route; what a scrape costs by the number of its series. With one: memory by
faults, requests per second and memory while up to 10,000 others are held. What replicas cost tells fleet.py. A curve
that never goes up by a quarter is flat; it is linear where no point lies clearly below the straight line from its first
to its last. Requests per second are flat where they never lose a third. A curve that is worse than expected misses the
goal.
"""

import argparse
import gc
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final

import _numbers
import _report
import _wrk
import httpx2
import psutil
import uvloop
from _apps import ERROR, NEVER, OTHERS
from _servers import Server, running
from control import HOLD, crowd
from cost import REQUEST, Served
from fastapi import FastAPI
from rich.console import Console
from rich.table import Table

import chaosapi
from chaosapi.app import create_app
from chaosapi.installation import routes_of
from chaosapi.settings import Settings

FAULTS: Final = (0, 1, 10, 50, 100)
ROUTES: Final = (10, 100, 300, 1000)
HELD: Final = (0, 1000, 5000, 10_000)
QUIET: Final = Settings(access_log=False)
OTHER: Final[dict[str, Any]] = {**ERROR, "target": {"routes": ["/api/checkout"]}}
OK: Final = b" 200 "
GROWTHS: Final = ("flat", "linear", "worse than linear")
FLAT: Final = {"on other routes", "finding the route, µs", "memory, MB, by faults", "requests/s"}
"""The curves that must be flat; the others may be linear."""
BEND: Final = 0.2
"""The share of its growth by which a linear curve may lie below the straight line; a square lies up to 0.25 below."""

Points = dict[str, list[tuple[float, float]]]


def wide(routes: int, *, chaotic: bool) -> FastAPI:
    """Return an app with `count` routes."""

    async def show(item: str) -> dict[str, str]:
        return {"item": item}

    app = FastAPI()
    if chaotic:
        chaosapi.install(app, QUIET)
    for number in range(routes):
        app.get(f"/things-{number}/{{item}}")(show)
    return app


async def turns(served: dict[str, tuple[Served, bytes]], requests: int, rounds: int) -> dict[str, float]:
    """Measure the candidates in turns; return the median CPU microseconds per request."""
    for each, request in served.values():
        await each.ask(request, OK, 5)
    took: dict[str, list[float]] = {name: [] for name in served}
    gc.disable()
    for _ in range(rounds):
        for name, (each, request) in served.items():
            took[name].append(1e6 * await each.ask(request, OK, requests))
        gc.collect()
    gc.enable()
    return {name: median(values) for name, values in took.items()}


async def faults(rounds: int) -> Points:
    """Measure a request with faults on other routes, and with faults on its route that never hit."""
    costs: Points = {"on other routes": [], "on its own, for others": [], "on its own, at a rate of 0": []}
    served = {}
    for count in FAULTS:
        for name, fault in zip(costs, (OTHER, OTHERS, NEVER), strict=True):
            served[f"{count} {name}"] = Served(create_app(QUIET)), REQUEST
            await served[f"{count} {name}"][0].inject({**fault, "name": f"f-{number}"} for number in range(count))
    for key, cost in (await turns(served, 200, rounds)).items():
        number, _, name = key.partition(" ")
        costs[name].append((int(number), cost))
    return costs


async def routes(rounds: int) -> tuple[Points, Points, Points]:
    """Measure a request to the middle route by routes, and the milliseconds and size of a scrape by series."""
    served = {}
    scrapes = {}
    series: dict[int, tuple[float, float]] = {}
    for count in ROUTES:
        request = f"GET /things-{count // 2}/a HTTP/1.1\r\nhost: localhost\r\n\r\n".encode()
        for name, chaotic in (("bare FastAPI", False), ("chaosapi", True)):
            served[f"{count} {name}"] = Served(wide(count, chaotic=chaotic)), request
        metrics = served[f"{count} chaosapi"][0], b"GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n"
        await metrics[0].ask(metrics[1], OK)
        text = metrics[0].text.decode()
        series[count] = text.count("\nhttp_request"), len(text) / 1000
        scrapes[str(count)] = metrics
    took = await turns(served, 50, rounds)
    scraped = await turns(scrapes, 1, rounds)
    requests: Points = {"bare FastAPI": [], "chaosapi": []}
    for key, cost in took.items():
        number, _, name = key.partition(" ")
        requests[name].append((int(number), cost))
    times = [(series[int(count)][0], cost / 1000) for count, cost in scraped.items()]
    return requests, {"": times}, {"": list(series.values())}


def find_route(rounds: int) -> Points:
    """Measure how long chaosapi takes to find the middle route, in µs."""
    tables = {count: routes_of(wide(count, chaotic=False)) for count in ROUTES}
    took: dict[int, list[float]] = {count: [] for count in tables}
    for _ in range(rounds):
        for count, table in tables.items():
            # A path is remembered, so ask for as many as there are requests.
            request = {"type": "http", "method": "GET", "root_path": "", "headers": []}
            scopes = [{**request, "path": f"/things-{count // 2}/{number}"} for number in range(10_000)]
            started = time.process_time()
            for scope in scopes:
                table.handler(scope)
            took[count].append(100 * (time.process_time() - started))
    return {"": [(count, median(values)) for count, values in took.items()]}


def resident() -> Points:
    """Measure memory in MB by live faults."""
    curve: list[tuple[float, float]] = []
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "log") as server:
        _wrk.press(f"{server.url}/api/products/p-0001", 1)
        before = 0
        for count in FAULTS:
            for number in range(before, count):
                httpx2.post(f"{server.admin}/admin/faults", json={**NEVER, "name": f"f-{number}"}).raise_for_status()
            _wrk.press(f"{server.url}/api/products/p-0001", 1)
            curve.append((count, psutil.Process(server.pid).memory_info().rss / 1e6))
            before = count
    return {"": curve}


def held(seconds: float) -> tuple[Points, Points]:
    """Measure requests per second, and memory in MB, by held requests."""
    rates: list[tuple[float, float]] = []
    memory: list[tuple[float, float]] = []
    for count in HELD:
        with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "log") as server:
            body = {**HOLD, "schedule": {"duration": "1h"}}
            httpx2.put(f"{server.admin}/admin/faults/hold", json=body).raise_for_status()
            _wrk.press(f"{server.url}/api/products/p-0001", 1)
            with crowd(server.url, max(count, 1), "held"):
                while _holding(server) < count:
                    time.sleep(0.1)
                # A median: the machine may do something else in one of them.
                loads = [_wrk.press(f"{server.url}/api/products/p-0001", seconds) for _ in range(3)]
                rates.append((count, median(load.per_second for load in loads)))
                memory.append((count, psutil.Process(server.pid).memory_info().rss / 1e6))
    return {"": rates}, {"": memory}


def _holding(server: Server) -> float:
    text = httpx2.get(f"{server.url}/admin/metrics", timeout=60).raise_for_status().text
    return next(float(line.split()[1]) for line in text.splitlines() if line.startswith("chaosapi_held_requests "))


def verdict(curve: Sequence[tuple[float, float]], *, falls: bool = False) -> str:
    """Return the growth of the curve, one of GROWTHS; a curve that `falls` is flat while it loses at most a third."""
    first, begin = curve[0]
    last, end = curve[-1]
    values = [value for _, value in curve]
    if falls:
        return "flat" if min(values) > begin * 2 / 3 else "worse than linear"
    if max(values) < 1.25 * begin:
        return "flat"
    below = max(begin + (end - begin) * (at - first) / (last - first) - value for at, value in curve)
    return "linear" if below < BEND * (end - begin) else "worse than linear"


def main() -> int:
    """Measure all curves; exit with 1 if one grows faster than expected."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rounds", type=_numbers.count, default=15)
    parser.add_argument("--seconds", type=_numbers.positive, default=2, help="how long to send while others are held")
    arguments = parser.parse_args()
    _wrk.ready()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    by_faults = uvloop.run(faults(arguments.rounds))
    by_routes, times, sizes = uvloop.run(routes(arguments.rounds))
    rates, memory = held(arguments.seconds)
    panels: dict[str, tuple[str, Points]] = {
        "a request, µs of processor, by faults": ("faults", by_faults),
        "a request, µs of processor, by routes": ("routes", by_routes),
        "finding the route, µs": ("routes", find_route(arguments.rounds)),
        "a scrape, ms of processor": ("series", times),
        "a scrape, kB": ("series", sizes),
        "requests/s": ("held requests", rates),
        "memory, MB, by faults": ("faults", resident()),
        "memory, MB": ("held requests", memory),
    }
    table = Table("", "", "", "grows", "expected")
    results: dict[str, dict[str, Any]] = {}
    fine = True
    for title, (across, lines) in panels.items():
        for name, curve in lines.items():
            grows = verdict(curve, falls=title == "requests/s")
            expected = "flat" if {title, name} & FLAT else "linear"
            fine &= GROWTHS.index(grows) <= GROWTHS.index(expected)
            results.setdefault(title, {})[name] = {"points": curve, "grows": grows, "expected": expected}
            points = "  ".join(f"{at:,.0f}: {value:,.{0 if value >= 10 else 1}f}" for at, value in curve)
            table.add_row(title, name or f"by {across}", points, grows, expected)
    Console(width=160).print(table)
    drawn = {title: lines for title, (_, lines) in panels.items()}
    picture = _report.curves(drawn, {title: across for title, (across, _) in panels.items()})
    _report.keep("growth", results, picture)
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
