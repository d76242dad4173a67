"""How exactly the service delays: planned against measured percentiles, through a real server at a steady rate.

Every distribution in floor mode, open loop (requests start at their time, whatever the latency), timed by the client.
No answer may come before its own planned delay has passed.
The allowance is the promise of the README: 3 ms + 2 % of the planned value. Bare requests in the same run show what
the machine itself adds. Runs on loopback only, for `--seconds` a distribution.
"""

import argparse
import asyncio
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import httpx2
import uvloop
from rich.console import Console
from rich.table import Table

from chaosapi.dice import Dice
from chaosapi.effects import Latency

OUT = Path(__file__).parent / "out"
PERCENTILES = (50, 95, 99)
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


def main() -> int:
    """Measure all distributions; exit with 1 when one lies outside the allowance."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rate", type=float, default=200, help="requests per second")
    parser.add_argument("--seconds", type=float, default=15, help="how long each distribution is measured")
    chosen = parser.parse_args()
    keys = [f"bench-{number}" for number in range(int(chosen.rate * chosen.seconds))]
    table = Table("distribution", *(f"p{p}, ms" for p in PERCENTILES), "within")
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})  # the service has core 0 for itself
    results: list[dict[str, Any]] = []
    with service() as url:
        bare = percentiles(list(uvloop.run(measure(url, chosen.rate, keys)).values()))
        for distribution in DISTRIBUTIONS:
            effect = {"type": "latency", "mode": "floor", "distribution": distribution}
            httpx2.put(f"{url}/admin/faults/bench", json={"effect": effect}).raise_for_status()
            dice, floor = Dice.of(0, "bench"), Latency.model_validate(effect)
            delays = {key: min(floor.cap, floor.distribution.sample(dice.draw(key))) for key in keys}
            planned = percentiles(list(delays.values()))
            took = uvloop.run(measure(url, chosen.rate, keys))
            measured = percentiles(list(took.values()))
            httpx2.delete(f"{url}/admin/faults/bench").raise_for_status()
            early = sum(took[key] < delays[key] for key in keys)
            within = not early and all(abs(m - p) <= 3 + 0.02 * p for p, m in zip(planned, measured, strict=True))
            results.append(
                {
                    "distribution": distribution,
                    "planned": planned,
                    "measured": measured,
                    "early": early,
                    "within": within,
                }
            )
            pairs = [f"{p:.2f} → {m:.2f}" for p, m in zip(planned, measured, strict=True)]
            table.add_row(distribution["type"], *pairs, "yes" if within else "NO")
    console = Console()
    console.print(f"{chosen.rate:g} requests/s, {len(keys)} a distribution; planned → measured; allowance 3 ms + 2 %")
    console.print(f"answers before their delay had passed: {sum(result['early'] for result in results)}")
    console.print("bare requests, ms: " + "  ".join(f"p{p} {v:.2f}" for p, v in zip(PERCENTILES, bare, strict=True)))
    console.print(table)
    OUT.mkdir(exist_ok=True)
    facts = {"python": platform.python_version(), "cpus": os.cpu_count(), "rate": chosen.rate, "bare": bare}
    (OUT / "latency.json").write_text(json.dumps({**facts, "results": results}, indent=1))
    return 0 if all(result["within"] for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
