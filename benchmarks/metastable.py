"""A retry storm keeps a service down after the spike has passed (Bronson et al., Metastable Failures, HotOS 2021).

Steady traffic at 60 % of a limited capacity, then for some seconds a spike of five times as much, then as before.
Clients give up after a second. Those that do not retry soon fare well again; with three retries each, the same traffic
keeps the service busy with requests whose senders have nearly lost patience, until somebody lifts the load.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import aiohttp
import httpx2
import uvloop
from _servers import running
from rich.console import Console
from rich.table import Table

CAPACITY = {
    "type": "capacity",
    "concurrency": 10,
    "queue": 2000,
    "queue_timeout": "30s",
    "service_time": {"type": "normal", "mean": "200ms", "stddev": "10ms"},
}
STEADY, SPIKE = 30, 150
"""New requests a second; 50 can be served."""
PATIENCE = 1.0
"""Seconds after which a client leaves, and tries again where it may."""


async def story(url: str, retries: int, phases: dict[str, tuple[float, float]]) -> dict[str, tuple[int, int]]:
    """Send each phase's requests (rate, seconds) in open loop; return how many were wanted and answered, by phase.

    A request belongs to the phase in which it was first sent.
    """
    wanted, answered = Counter[str](), Counter[str]()
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as client:

        async def one(phase: str) -> None:
            wanted[phase] += 1
            for _ in range(1 + retries):
                try:
                    async with client.get("/api/products/p-0001") as answer:
                        await answer.read()
                except TimeoutError:
                    continue
                answered[phase] += answer.ok
                return

        due = time.perf_counter()
        async with asyncio.TaskGroup() as crowd:
            for phase, (rate, seconds) in phases.items():
                for _ in range(int(rate * seconds)):
                    due += 1 / rate
                    await asyncio.sleep(due - time.perf_counter())
                    crowd.create_task(one(phase))
    return {phase: (wanted[phase], answered[phase]) for phase in phases}


def main() -> int:
    """Tell the story without and with retries; exit with 1 when it does not end as told."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=10, help="how long each phase lasts; the spike half of it")
    seconds = parser.parse_args().seconds
    after = {f"{part} after": (STEADY, seconds) for part in ("right", "soon", "long")}
    phases: dict[str, tuple[float, float]] = {"before": (STEADY, seconds), "spike": (SPIKE, seconds / 2), **after}
    table = Table("retries", *phases, title="goodput: answered in time, of those who asked")
    share: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for retries in (0, 3):
            with running(Path(folder) / f"log-{retries}") as server:
                httpx2.put(f"{server.admin}/admin/faults/limit", json={"effect": CAPACITY}).raise_for_status()
                seen = uvloop.run(story(server.url, retries, phases))
            table.add_row(str(retries), *(f"{good / asked:.0%} ({good})" for asked, good in seen.values()))
            asked, good = seen["long after"]
            share[retries] = good / asked
    Console().print(table)
    return 0 if share[0] > 0.95 and share[3] < 0.5 else 1


if __name__ == "__main__":
    sys.exit(main())
