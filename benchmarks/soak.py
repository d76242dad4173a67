"""Many requests under changing faults: at the end, the service has released every resource that it used.

A seeded crowd of clients, some of which disconnect early, and seeded operators who create, patch, replace, end and
halt faults with every effect on requests, on whole routes and at points. First a warm-up of a twentieth, so that
caches are filled and the allocator has its arenas; then the rest. Before and after, with nothing in flight and garbage
collected, the server's own process tells its tasks, threads, file descriptors and resident memory. Loopback only.
What the service remembers on purpose, up to a bound (carts, orders, audit), is filled to the brim before that.
"""

import argparse
import asyncio
import gc
import json
import os
import platform
import sys
import tempfile
import threading
import time
from pathlib import Path

import _numbers
import _servers
import aiohttp
import psutil
import uvicorn
import uvloop
from _soaking import Soak
from rich.console import Console
from rich.table import Table
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.app import create_app
from chaosapi.settings import Settings
from chaosapi.telemetry import logs

OUT = Path(__file__).parent / "out"
WARM_UP = 0.05
BRIM = 10_000
TOLERANCE = 0.05
"""The highest growth of resident memory: the allocator keeps some of its peak."""
MEANT = "RuntimeError"


def serve() -> None:
    """Run the service, with a route /left that lists the resources in use."""
    settings = Settings(port=0)
    logs.configure(settings)
    app = create_app(settings)
    uvicorn.run(telling(app), port=0, loop="uvloop", http="httptools", ws="none", log_config=None, access_log=False)


def telling(app: ASGIApp) -> ASGIApp:
    """Answer /left with the resources in use after a garbage collection; the request's own task is not counted."""
    process = psutil.Process()

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        if scope.get("path") != "/left":
            await app(scope, receive, send)
            return
        gc.collect()
        in_use = {
            "tasks": len(asyncio.all_tasks()) - 1,
            "threads": threading.active_count(),
            "fds": process.num_fds(),
            "rss": process.memory_info().rss,
        }
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(in_use).encode()})

    return counted


async def left(url: str) -> dict[str, int]:
    """Request /left on a new connection until it no longer changes, for at most half a minute."""
    known: list[dict[str, int]] = []
    for _ in range(60):
        async with aiohttp.ClientSession(url) as client, client.get("/left") as answer:
            known.append(await answer.json())
        if known[-3:].count(known[-1]) == 3:
            break
        await asyncio.sleep(0.5)
    return known[-1]


async def fill(url: str) -> None:
    """Fill the service's caches: carts, orders, idempotency keys, and the audit."""
    numbers = iter(range(2 * BRIM))
    async with aiohttp.ClientSession(url) as client:
        calm = {"effect": {"type": "error"}, "rate": 1e-9, "schedule": {"duration": "1h"}}
        (await client.put("/admin/faults/calm", json=calm)).close()

        async def one() -> None:
            for number in numbers:
                cart = f"fill-{number}"
                item = {"product_id": "p-0001"}
                key = {"idempotency-key": cart} if number < BRIM else {}
                (await client.post(f"/api/cart/{cart}/items", json=item)).close()
                (await client.post("/api/checkout", json={"cart_id": cart}, headers=key)).close()
                if key:  # their orders are kept by their keys, and those that follow by their numbers
                    (await client.patch("/admin/faults/calm", json={"rate": (1 + number) / 1e9})).close()
                else:
                    (await client.post(f"/api/cart/{cart}/items", json=item)).close()

        await asyncio.gather(*(one() for _ in range(20)))


async def soak(url: str, requests: int, clients: int, seed: int) -> tuple[dict[str, int], dict[str, int], Soak, float]:
    """Warm up, and soak; return the resources in use before and after, the soak and its seconds."""
    await fill(url)

    async def crowd(requests: int, seed: int) -> Soak:
        async with (
            aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(limit=0)) as client,
            # A connection each: the server may close an idle one just as it is used again.
            aiohttp.ClientSession(url, connector=aiohttp.TCPConnector(force_close=True)) as desk,
        ):
            load = Soak(client, desk, seed)
            await load.run(requests, clients)
        return load

    await crowd(round(WARM_UP * requests), seed + 2)
    before = await left(url)
    started = time.monotonic()
    load = await crowd(requests - round(WARM_UP * requests), seed)
    seconds = time.monotonic() - started
    return before, await left(url), load, seconds


def unmeant(log: Path) -> list[str]:
    """Return the log lines that no fault explains: other tracebacks, errors, and lines that are not JSON."""
    strange = []
    for line in log.read_text().splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            strange.append(line)
            continue
        kinds = [each["exc_type"] for each in entry.get("exception", [])]
        if (kinds and MEANT not in kinds) or (not kinds and entry["level"] in {"warning", "error", "critical"}):
            strange.append(line)
    return strange


def main() -> int:
    """Soak; exit with 1 if a resource is left in use, or the log has an unexplained traceback."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--requests", type=_numbers.count, default=200_000, help="how many, the warm-up included")
    parser.add_argument("--clients", type=_numbers.count, default=100, help="how many send at once")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve()
        return 0
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with _servers.running(log, (sys.executable, __file__, "--serve")) as server:
            before, after, load, seconds = uvloop.run(
                soak(server.url, arguments.requests, arguments.clients, arguments.seed)
            )
        strange = unmeant(log)
    console = Console()
    table = Table("", "before", "after", "as it was")
    good = {name: after[name] <= before[name] * (1 + TOLERANCE * (name == "rss")) for name in before}
    for name in before:
        table.add_row(name, f"{before[name]:,}", f"{after[name]:,}", "yes" if good[name] else "NO")
    console.print(f"{load.seen.total():,} requests in {seconds:.0f} s, {load.changes.total()} changes of faults")
    console.print(f"requests: {dict(load.seen.most_common())}")
    console.print(f"changes: {dict(load.changes.most_common())}")
    console.print(table)
    console.print(f"log lines that no fault meant: {len(strange)}")
    for line in strange[:5]:
        console.print(line[:2000], markup=False, highlight=False)
    OUT.mkdir(exist_ok=True)
    facts = {"python": platform.python_version(), "cpus": os.cpu_count(), "requests": arguments.requests}
    results = {"before": before, "after": after, "seen": load.seen, "changes": load.changes, "strange": len(strange)}
    (OUT / "soak.json").write_text(json.dumps({**facts, "seconds": seconds, **results}, indent=1))
    return 0 if all(good.values()) and not strange else 1


if __name__ == "__main__":
    sys.exit(main())
