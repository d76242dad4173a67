"""How exactly the service delays: planned against measured percentiles, through a real server at steady rates.

Every distribution in floor mode, and Envoy's fixed delay beside them; open loop (requests start at their time, whatever
the latency), timed by the client. No answer may come before its own planned delay has passed. What the machine itself
adds, bare requests show in the same run. The allowance is the promise of the README, at 200 requests a second: 3 ms +
2 % of the planned value. Runs on loopback only, for `--seconds` a distribution and rate.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import _envoy
import _report
import aiohttp
import httpx2
import uvloop
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from chaosapi.dice import Dice
from chaosapi.effects import Latency

PERCENTILES = (50, 90, 95, 99, 99.9)
PROMISED = (50, 95, 99)
RATE = 200.0
"""Requests a second for which the promise is made."""
ENVOY = 0.05
DISTRIBUTIONS: list[dict[str, Any]] = [
    {"type": "constant", "value": "50ms"},
    {"type": "uniform", "low": "20ms", "high": "80ms"},
    {"type": "normal", "mean": "60ms", "stddev": "10ms"},
    {"type": "lognormal", "median": "40ms", "p99": "200ms"},
    {"type": "exponential", "mean": "40ms"},
    {"type": "pareto", "minimum": "15ms", "shape": 2},
    {"type": "quantiles", "p50": "30ms", "p90": "80ms", "p95": "120ms", "p99": "250ms", "max": "400ms"},
    {
        "type": "mixture",
        "components": [
            {"weight": 9, "distribution": {"type": "normal", "mean": "20ms", "stddev": "2ms"}},
            {"weight": 1, "distribution": {"type": "lognormal", "median": "150ms", "p99": "300ms"}},
        ],
    },
]


@contextmanager
def service() -> Iterator[str]:
    """Run the service on a free port for as long as the block lasts."""
    with tempfile.NamedTemporaryFile("w+") as log:
        command = [sys.executable, "-m", "chaosapi", "serve", "--port", "0"]
        process = subprocess.Popen(command, stdout=log, env={**os.environ, "CHAOSAPI_ACCESS_LOG": "false"})
        os.sched_setaffinity(process.pid, {0})
        try:
            while not (found := re.search(r"Uvicorn running on (\S+?)[\"\s]", Path(log.name).read_text())):
                time.sleep(0.05)
            yield found[1]
        finally:
            process.terminate()
            process.wait()


async def measure(url: str, rate: float, keys: list[str]) -> dict[str, float]:
    """Send one request a key at the given rate; return the seconds each took."""
    took: dict[str, float] = {}
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as client:
        started = time.perf_counter() + 0.1

        async def one(place: int, key: str) -> None:
            await asyncio.sleep(started + place / rate - time.perf_counter())
            sent = time.perf_counter()  # not the intended start: the client's own lateness is not the service's
            async with client.get("/api/products/p-0001", headers={"x-request-id": key}) as answer:
                await answer.read()
            took[key] = time.perf_counter() - sent

        await asyncio.gather(*(one(place, key) for place, key in enumerate(keys)))
    return took


def percentiles(values: list[float]) -> list[float]:
    """Return the percentiles, in milliseconds."""
    ordered = sorted(values)
    return [1000 * ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] for p in PERCENTILES]


def ours(url: str, distribution: dict[str, Any], rate: float, keys: list[str]) -> dict[str, Any]:
    """Measure one distribution at one rate."""
    effect = {"type": "latency", "mode": "floor", "distribution": distribution}
    httpx2.put(f"{url}/admin/faults/bench", json={"effect": effect}).raise_for_status()
    dice, floor = Dice.of(0, "bench"), Latency.model_validate(effect)
    delays = {key: min(floor.cap, floor.distribution.sample(dice.draw(key))) for key in keys}
    took = uvloop.run(measure(url, rate, keys))
    httpx2.delete(f"{url}/admin/faults/bench").raise_for_status()
    return row(distribution["type"], rate, delays, took)


def row(what: str, rate: float, delays: dict[str, float], took: dict[str, float]) -> dict[str, Any]:
    """Compare; within the promise or not matters at one rate only."""
    planned, measured = percentiles(list(delays.values())), percentiles(list(took.values()))
    early = sum(took[key] < delays[key] for key in took)
    promised = [(p, m) for p, m, q in zip(planned, measured, PERCENTILES, strict=True) if q in PROMISED]
    within = not early and all(abs(m - p) <= 3 + 0.02 * p for p, m in promised)
    return {"what": what, "rate": rate, "planned": planned, "measured": measured, "early": early, "within": within}


def main() -> int:
    """Measure all distributions; exit with 1 when one lies outside the allowance."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, action="append", help="requests per second; may be repeated")
    parser.add_argument("--seconds", type=float, default=5, help="how long each distribution is measured at each rate")
    chosen = parser.parse_args()
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})  # the service has core 0 for itself
    results: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        service() as url,
        _envoy.running(Path(folder), [_envoy.delay(ENVOY)]) as ((peer,), pid),
    ):
        os.sched_setaffinity(pid, {0})
        for rate in chosen.rate or (50.0, RATE, 1000.0):
            keys = [f"bench-{number}" for number in range(int(rate * chosen.seconds))]
            none, fixed = dict.fromkeys(keys, 0.0), dict.fromkeys(keys, ENVOY)
            results.append(row("nothing", rate, none, uvloop.run(measure(url, rate, keys))))
            results.append(row("Envoy, fixed", rate, fixed, uvloop.run(measure(peer, rate, keys))))
            results += [ours(url, distribution, rate, keys) for distribution in DISTRIBUTIONS]
    table = Table("requests/s", "delay", *(f"p{p}: planned, off by, ms" for p in PERCENTILES), "early", "within")
    for each in results:
        pairs = [f"{p:.1f} {m - p:+.2f}" for p, m in zip(each["planned"], each["measured"], strict=True)]
        promised = each["rate"] == RATE and each["what"] in {one["type"] for one in DISTRIBUTIONS}
        within = ("yes" if each["within"] else "NO") if promised else ""
        table.add_row(f"{each['rate']:g}", each["what"], *pairs, str(each["early"]), within)
    Console(width=140).print(table)
    _report.keep("latency", results, picture(results), seconds=chosen.seconds)
    promised = [each for each in results if each["rate"] == RATE and each["what"] not in {"nothing", "Envoy, fixed"}]
    return 0 if all(each["within"] for each in promised) else 1


def picture(results: list[dict[str, Any]]) -> Figure:
    """Draw what is off, by percentile, a panel for each rate."""
    panels: dict[str, dict[str, _report.Curve]] = {}
    for each in results:
        off = [m - p for p, m in zip(each["planned"], each["measured"], strict=True)]
        panels.setdefault(f"off by, ms, at {each['rate']:g}/s", {})[each["what"]] = list(enumerate(off))
    return _report.curves(panels, dict.fromkeys(panels, "p50 p90 p95 p99 p99.9"))


if __name__ == "__main__":
    sys.exit(main())
