"""The CPU time of chaosapi without a network: requests through uvicorn's protocol class, in one process.

All apps take turns of a few hundred requests, so that a busy machine meets all of them alike; ratios are those of one
turn, and medians are taken over many. Left out is what the kernel and the event loop do, the same for all: so
these ratios are stricter than those of overhead.py. The goal is that one's.
"""

import argparse
import asyncio
import gc
import json
import sys
import time
from collections.abc import Iterable
from statistics import median
from typing import Any, Final

import _numbers
import _report
import _rounds
import uvicorn
import uvloop
from _apps import APPS, OURS, faults
from rich.console import Console
from rich.table import Table
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from chaosapi.app import create_app
from chaosapi.settings import Settings

GOAL: Final = 0.95
REQUEST: Final = b"GET /api/products/p-0001 HTTP/1.1\r\nhost: 127.0.0.1:8000\r\n\r\n"


class Sink(asyncio.Transport):
    """A transport that keeps the last response."""

    answer = b""

    def write(self, data: Any) -> None:
        """Keep a part of a response."""
        self.answer = data if data.startswith(b"HTTP/") else self.answer + data

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 8000) if name in {"peername", "sockname"} else default

    def is_reading(self) -> bool:
        """Read on."""
        return True

    def is_closing(self) -> bool:
        """Stay open."""
        return False

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Keep the one there is."""


class Served:
    """An app behind uvicorn's protocol, on one connection."""

    def __init__(self, app: ASGIApp) -> None:
        config = uvicorn.Config(
            app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_keep_alive=86400,
        )
        config.load()
        self._state = ServerState()
        self._sink = Sink()
        self._protocol = HttpToolsProtocol(config, self._state, {})
        self._protocol.connection_made(self._sink)

    @property
    def text(self) -> bytes:
        """Return the last response, head and body."""
        return self._sink.answer

    async def ask(self, request: bytes, status: bytes, count: int = 1) -> float:
        """Send `count` requests one after the other; return the CPU seconds per request."""
        started = time.process_time()
        for _ in range(count):
            self._protocol.data_received(request)
            while self._state.tasks:  # noqa: ASYNC110 - the loop has to turn, and nothing tells when it is done
                await asyncio.sleep(0)
        if status not in self.text.partition(b"\r\n")[0]:
            sys.exit(f"the answer was {self.text.decode()}")
        return (time.process_time() - started) / count

    async def inject(self, bodies: Iterable[dict[str, Any]]) -> None:
        """Inject faults."""
        for body in bodies:
            content = json.dumps(body).encode()
            head = b"POST /admin/faults HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            await self.ask(head + b"content-length: %d\r\n\r\n" % len(content) + content, b" 201 ")


async def measure(turns: int, requests: int) -> dict[str, list[float]]:
    """Return the CPU seconds per request by app, one value for each turn."""
    served = {name: Served(app()) for name, app in APPS.items()}
    for name in OURS:
        served[name] = Served(create_app(Settings(access_log=False)))
        await served[name].inject(faults(name))
    for each in served.values():
        await each.ask(REQUEST, b" 200 ", 100)
    gc.disable()  # a collection would add to the time of one candidate
    took: dict[str, list[float]] = {name: [] for name in served}
    for turn in range(turns):
        for name in _rounds.order(served, turn):
            took[name].append(await served[name].ask(REQUEST, b" 200 ", requests))
        gc.collect()
    return took


def main() -> int:
    """Measure all candidates; exit with 1 if the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument("--turns", type=_numbers.count, default=60)
    parser.add_argument("--requests", type=_numbers.count, default=300, help="in each turn")
    arguments = parser.parse_args()
    took = uvloop.run(measure(arguments.turns, arguments.requests))
    bare = took["bare FastAPI"]
    ratios = {
        name: median(first / other for first, other in zip(bare, each, strict=True)) for name, each in took.items()
    }
    table = Table("", "µs of processor a request", "requests in the same time, of bare")
    for name, each in took.items():
        table.add_row(name, f"{1e6 * median(each):.1f}", f"{ratios[name]:.3f}")
    Console(width=120).print(table)
    picture = _report.bars("Requests in the same processor time, of bare FastAPI", ratios, "dashed: the goal", GOAL)
    _report.keep(
        "cost", {name: {"of bare": ratios[name], "seconds": median(each)} for name, each in took.items()}, picture
    )
    idle = ratios["100 faults on other routes"]
    return 0 if idle >= max(GOAL, ratios["instrumentator"], ratios["starlette-exporter"]) else 1


if __name__ == "__main__":
    sys.exit(main())
