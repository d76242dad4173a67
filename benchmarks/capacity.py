"""The queue of `capacity` against queueing theory: mean waits of M/M/c, through a real server.

Poisson arrivals in open loop, exponential service times, c places: the mean wait is Erlang's C(c, a) / (c·mu - lambda)
(Kleinrock, Queueing Systems I, 3.5). A few minutes of a busy queue say little about its mean, so each case plays a
sample whose ideal queue (Kiefer and Wolfowitz) has the theory's mean within 1 %; what is left to see is the service.
Several small queues run side by side, each as a fault of its own, selected by a header. The client measures the wait;
the overhead of a request that does not queue, measured in the same run, is subtracted. On a machine so busy that
this is more than a hundredth of a service time, places are taken for longer than drawn and queues grow
for that reason alone: then the run says so.
"""

import argparse
import asyncio
import heapq
import itertools
import json
import math
import platform
import random
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

import _numbers
import aiohttp
import httpx2
import uvloop
from _servers import running
from rich.console import Console
from rich.table import Table

from chaosapi.faults.dice import Dice

OUT = Path(__file__).parent / "out"
SERVICE = 1.0
"""Mean service time, in seconds."""
PLACES = (1, 4, 8)
UTILISATIONS = (0.5, 0.7, 0.9)
SIDE_BY_SIDE = 8
TYPICAL = 0.01
"""How close to theory the mean wait of a sample's ideal queue must be."""
ALLOWANCE = 0.10
QUIET = SERVICE / 100


@dataclass(frozen=True)
class Request:
    """One request: its queue, its arrival, and its service time."""

    queue: str
    key: str
    comes: float
    service: float


@dataclass
class Case:
    """Several queues with the same number of places and utilisation, their requests, and the theory's mean wait."""

    places: int
    utilisation: float
    theory: float
    ideal: float
    requests: list[Request]


def erlang_c(places: int, load: float) -> float:
    """Return the probability of waiting in M/M/c (Erlang C); `load` in erlangs, below `places`."""
    full = load**places / math.factorial(places) * places / (places - load)
    return full / (sum(load**k / math.factorial(k) for k in range(places)) + full)


def poisson(queue: str, seed: int, rate: float, seconds: float) -> list[Request]:
    """Draw the requests of one queue; their service times are those that the service will draw."""
    chance = random.Random(f"{queue}/{seed}")
    dice = Dice.of(0, queue)
    gaps = (chance.expovariate(rate) for _ in itertools.count())
    arrivals = itertools.takewhile(lambda comes: comes < seconds, itertools.accumulate(gaps))
    keys = (f"{seed}-{number}" for number in itertools.count())
    return [
        Request(queue, key, comes, -SERVICE * math.log1p(-dice.draw(key)))
        for comes, key in zip(arrivals, keys, strict=False)
    ]


def ideal_waits(places: int, requests: list[Request]) -> list[float]:
    """Return the wait of each request in the ideal first-come-first-served queue."""
    free = [0.0] * places
    waits = list[float]()
    for request in requests:
        waits.append(max(0.0, free[0] - request.comes))
        heapq.heapreplace(free, request.comes + waits[-1] + request.service)
    return waits


def case(places: int, utilisation: float, seconds: float) -> Case:
    """Return a typical sample: the mean wait of its ideal queue is the theory's."""
    rate = utilisation * places / SERVICE
    theory = erlang_c(places, utilisation * places) / (places / SERVICE - rate)
    names = [f"c{places}-u{utilisation * 100:g}-{number}" for number in range(SIDE_BY_SIDE // places)]
    for seed in itertools.count():
        queues = [poisson(name, seed, rate, seconds) for name in names]
        ideal = fmean(itertools.chain.from_iterable(ideal_waits(places, queue) for queue in queues))
        if abs(ideal / theory - 1) < TYPICAL:
            return Case(places, utilisation, theory, ideal, list(itertools.chain.from_iterable(queues)))
    raise AssertionError


def inject(url: str, queue: str, places: int) -> None:
    """Create one queue."""
    effect = {"type": "capacity", "concurrency": places, "queue": 10_000, "queue_timeout": "1h"}
    effect["service_time"] = {"type": "exponential", "mean": SERVICE}
    body = {"effect": effect, "target": {"headers": {"x-queue": queue}}}
    httpx2.put(f"{url}/admin/faults/{queue}", json=body).raise_for_status()


async def measure(url: str, requests: list[Request]) -> dict[Request, float]:
    """Send every request at its time; return each latency minus its service time."""
    beyond: dict[Request, float] = {}
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(url, connector=connector, timeout=timeout) as client:
        started = time.perf_counter() + 1

        async def one(request: Request) -> None:
            await asyncio.sleep(started + request.comes - time.perf_counter())
            sent = time.perf_counter()
            headers = {"x-queue": request.queue, "x-request-id": request.key}
            async with client.get("/api/products/p-0001", headers=headers) as answer:
                await answer.read()
            beyond[request] = time.perf_counter() - sent - request.service

        await asyncio.gather(*map(one, requests))
    return beyond


def main() -> int:
    """Measure all cases concurrently; exit with 1 if a mean wait is outside the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=_numbers.positive, default=110, help="how long requests arrive")
    seconds = parser.parse_args().seconds
    combinations = itertools.product(PLACES, UTILISATIONS)
    cases = [case(places, utilisation, seconds) for places, utilisation in combinations]
    alone = poisson("alone", 0, 10, seconds)
    with tempfile.TemporaryDirectory() as folder, running(Path(folder) / "log") as server:
        inject(server.admin, "alone", 10_000)
        for each in cases:
            for queue in dict.fromkeys(request.queue for request in each.requests):
                inject(server.admin, queue, each.places)
        queued = itertools.chain.from_iterable(each.requests for each in cases)
        beyond = uvloop.run(measure(server.url, [*alone, *queued]))
    overhead = fmean(beyond[request] for request in alone)
    table = Table("c", "utilisation", "requests", "Erlang C, ms", "ideal queue, ms", "measured, ms", "off", "within")
    results = []
    for each in cases:
        wait = fmean(beyond[request] for request in each.requests) - overhead
        off = wait / each.theory - 1
        within = abs(off) <= ALLOWANCE
        row = [str(each.places), f"{each.utilisation:g}", str(len(each.requests))]
        row += [f"{1000 * figure:.1f}" for figure in (each.theory, each.ideal, wait)]
        table.add_row(*row, f"{off:+.1%}", "yes" if within else "NO")
        results.append({"c": each.places, "utilisation": each.utilisation, "theory": each.theory, "wait": wait})
    console = Console()
    console.print(table)
    console.print(f"overhead of a request that does not queue: {1000 * overhead:.1f} ms; subtracted")
    if overhead > QUIET:
        console.print(f"this machine was too busy to measure: on a quiet machine that is less than {1000 * QUIET:g} ms")
    OUT.mkdir(exist_ok=True)
    facts = {"python": platform.python_version(), "seconds": seconds, "overhead": overhead, "results": results}
    (OUT / "capacity.json").write_text(json.dumps(facts, indent=1))
    return 0 if all(abs(result["wait"] / result["theory"] - 1) <= ALLOWANCE for result in results) else 1


if __name__ == "__main__":
    sys.exit(main())
