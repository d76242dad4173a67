"""The accuracy of delays: planned and measured percentiles, through a real server at steady rates.

Every distribution in floor mode, compared with Envoy's fixed delay; open loop (requests start at their time, whatever
the latency), timed by the client. Planned are the very delays that the dice give these requests, and no answer may come
before its own has passed. What the machine itself adds, bare requests show in the same round: each delay and what a
bare request took are added up, and the goal is that no measured percentile from p50 to p99 lies more than 1 ms beyond
that of the sums, at 200 requests a second. (Percentiles themselves do not add up: not in the gap of a mixture, nor in a
long tail.) All take turns, each round with other requests, and figures are medians over the rounds. Loopback only.
"""

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

import _envoy
import _numbers
import _report
import _wrk
import aiohttp
import httpx2
import uvloop
from _servers import running
from matplotlib.figure import Figure
from rich.console import Console
from rich.table import Table

from chaosapi.effects import Latency
from chaosapi.faults.dice import Dice

PERCENTILES: Final = (50, 90, 95, 99, 99.9)
JUDGED: Final = (50, 90, 95, 99)
GOAL: Final = 1.0
"""Milliseconds above the sum of the delay and a bare request."""
RATE: Final = 200.0
"""Requests per second at which the goal holds."""
TITLE: Final = "planned, off by, and beyond a bare request: ms"
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
        "components": [  # no judged percentile lies in the gap between them: one late request would move it
            {"weight": 17, "distribution": {"type": "normal", "mean": "20ms", "stddev": "2ms"}},
            {"weight": 3, "distribution": {"type": "lognormal", "median": "150ms", "p99": "300ms"}},
        ],
    },
]


class Turn(NamedTuple):
    """One turn: percentiles in ms (planned, planned plus bare, measured), and the number of early responses."""

    planned: list[float]
    expected: list[float]
    measured: list[float]
    early: int


async def measure(url: str, rate: float, keys: list[str]) -> dict[str, float]:
    """Send one request per key at the given rate; return the latencies in seconds."""
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


def percentiles(values: Sequence[float]) -> list[float]:
    """Return the percentiles of seconds, in milliseconds."""
    ordered = sorted(values)
    return [1000 * ordered[min(len(ordered) - 1, int(len(ordered) * p / 100))] for p in PERCENTILES]


def turn(took: dict[str, float], delays: dict[str, float], bare: dict[str, float]) -> Turn:
    """Return the percentiles of planned delays, of their sums with bare requests, and of latencies; by key."""
    early = sum(took[key] < delays[key] for key in took)
    expected = [delays[key] + bare[key] for key in took]
    return Turn(percentiles(list(delays.values())), percentiles(expected), percentiles(list(took.values())), early)


def ours(url: str, distribution: dict[str, Any], rate: float, bare: dict[str, float]) -> Turn:
    """Measure one distribution at one rate, with the same keys as the bare requests."""
    effect = {"type": "latency", "mode": "floor", "distribution": distribution}
    httpx2.put(f"{url}/admin/faults/bench", json={"effect": effect}).raise_for_status()
    dice = Dice.of(0, "bench")
    floor = Latency.model_validate(effect)
    delays = {key: min(floor.cap, floor.distribution.sample(dice.draw(key))) for key in bare}
    took = uvloop.run(measure(url, rate, list(delays)))
    httpx2.delete(f"{url}/admin/faults/bench").raise_for_status()
    return turn(took, delays, bare)


def once(url: str, peer: str, rate: float, keys: list[str]) -> dict[str, Turn]:
    """Measure each distribution once, bare requests first."""
    none = dict.fromkeys(keys, 0.0)
    fixed = dict.fromkeys(keys, ENVOY)
    bare = uvloop.run(measure(url, rate, keys))
    found = {"nothing": turn(bare, none, bare)}
    found["Envoy, fixed"] = turn(uvloop.run(measure(peer, rate, keys)), fixed, bare)
    return found | {each["type"]: ours(url, each, rate, bare) for each in DISTRIBUTIONS}


def compare(what: str, rate: float, turns: Sequence[Turn]) -> dict[str, Any]:
    """Compare the measured percentiles with the plan, and with the plan plus bare requests, in ms."""
    places = range(len(PERCENTILES))
    beyond = [median(each.measured[p] - each.expected[p] for each in turns) for p in places]
    early = sum(each.early for each in turns)
    judged = [ms for ms, percentile in zip(beyond, PERCENTILES, strict=True) if percentile in JUDGED]
    return {
        "what": what,
        "rate": rate,
        "planned": [median(each.planned[p] for each in turns) for p in places],
        "off": [median(each.measured[p] - each.planned[p] for each in turns) for p in places],
        "beyond": beyond,
        "early": early,
        "within": not early and max(judged) <= GOAL,
    }


def main() -> int:
    """Measure all distributions; exit with 1 if one misses the goal."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--rate", type=_numbers.positive, action="append", help="requests per second; may be repeated")
    parser.add_argument("--seconds", type=_numbers.positive, default=2, help="how long each is measured in a round")
    parser.add_argument("--rounds", type=_numbers.count, default=7)
    arguments = parser.parse_args()
    os.sched_setaffinity(0, set(range(1, os.cpu_count() or 1)) or {0})  # the service has core 0 for itself
    results: list[dict[str, Any]] = []
    with (
        tempfile.TemporaryDirectory() as folder,
        running(Path(folder) / "log") as server,
        _envoy.running(Path(folder), [_envoy.delay(ENVOY)]) as ((peer,), pid),
    ):
        _wrk.pin(server.pid)
        _wrk.pin(pid)
        for rate in arguments.rate or (50.0, RATE, 1000.0):
            count = max(1, int(rate * arguments.seconds))
            rounds = [
                once(server.url, peer, rate, [f"bench-{number}-{request}" for request in range(count)])
                for number in range(arguments.rounds)
            ]
            results += [compare(what, rate, [each[what] for each in rounds]) for what in rounds[0]]
    mine = {each["type"] for each in DISTRIBUTIONS}
    table = Table("requests/s", "delay", *(f"p{p}" for p in PERCENTILES), "early", "within", title=TITLE)
    for each in results:
        cells = [
            f"{p:.1f} {o:+.1f} {b:+.2f}" for p, o, b in zip(each["planned"], each["off"], each["beyond"], strict=True)
        ]
        judged = each["rate"] == RATE and each["what"] in mine
        within = ("yes" if each["within"] else "NO") if judged else ""
        table.add_row(f"{each['rate']:g}", each["what"], *cells, str(each["early"]), within)
    Console(width=160).print(table)
    _report.keep("latency", results, picture(results), seconds=arguments.seconds, rounds=arguments.rounds)
    judged = [each for each in results if each["rate"] == RATE and each["what"] in mine]
    return 0 if all(each["within"] for each in judged) else 1


def picture(results: list[dict[str, Any]]) -> Figure:
    """Draw the excess over a bare request by percentile, a panel for each rate."""
    panels: dict[str, dict[str, _report.Curve]] = {}
    for each in results:
        panel = panels.setdefault(f"beyond a bare request, ms, at {each['rate']:g}/s", {})
        panel[each["what"]] = list(enumerate(each["beyond"]))
    return _report.curves(panels, dict.fromkeys(panels, "p50 p90 p95 p99 p99.9"))


if __name__ == "__main__":
    sys.exit(main())
