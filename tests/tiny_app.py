"""The fault middleware around a tiny app with a fake clock that advances only in waits: an hour takes no time."""

import asyncio
import heapq
import itertools
import math
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from chaosapi import durations
from chaosapi import scope as keys
from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import State
from chaosapi.injection.context import HeldRequests
from chaosapi.injection.engine import Engine
from chaosapi.injection.middleware import FaultMiddleware
from chaosapi.inner import InnerMiddleware
from chaosapi.routes import Route
from chaosapi.routing import RouteTable
from chaosapi.telemetry.queues import QueueMetrics
from tests.conftest import Clock
from tests.patience import patience

ROUTES = RouteTable.of([Route("/a")])

_ROUNDS = 40
"""More event loop iterations than any chain of wake-ups takes."""


@dataclass(frozen=True)
class Answer:
    """One client's result."""

    status: int | None
    """None without a response."""
    took: float
    headers: dict[str, str]
    body: bytes


class Server:
    """The server's object of a request, as far as effects reach the connection through it, as under uvicorn."""

    disconnected = False
    waiting_for_100_continue = False

    def __init__(self) -> None:
        self.transport = self
        self.message_event = asyncio.Event()

    async def send(self, _: Message) -> None: ...

    def abort(self) -> None: ...

    def close(self) -> None: ...

    def is_closing(self) -> bool:
        return False

    def is_reading(self) -> bool:
        return True

    def get_extra_info(self, _: str) -> None: ...


class World:
    """A tiny app behind the fault middleware, with a clock that advances only in waits."""

    def __init__(self, clock: Clock, max_held: int = 10, work: float = 0.0, *, mark: bool = False) -> None:
        self.clock = clock
        self.work = work
        self.engine = Engine(ROUTES, clock)
        self.state = State()
        self.calls = 0
        self.server: Server | None = Server()
        self.held = HeldRequests(max_held)
        self.queues = QueueMetrics(ROUTES.templates, ())
        self.faults = FaultMiddleware(
            InnerMiddleware(self.app),
            self.engine,
            meter=self.queues.meter,
            held=self.held,
            mark=mark,
            clock=clock,
            hold=self.hold,
        )
        self.on_hold: Callable[[], Awaitable[None]] | None = None

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.calls += 1
        self.clock.now += self.work
        await PlainTextResponse("fine")(scope, receive, send)

    async def hold(self, turn: asyncio.Future[None], seconds: float) -> None:
        if self.on_hold:
            await self.on_hold()
            await asyncio.sleep(0)  # what was woken is cancelled in the loop's next round
        if not turn.done():
            self.clock.now += seconds

    def inject(self, name: str, effect: dict[str, Any], **fields: Any) -> None:
        spec = Fault.model_validate({"name": name, "effect": effect, "schedule": {"duration": "10h"}, **fields})
        self.change(changes.create(spec, self.clock.now))

    def change(self, change: changes.Change) -> None:
        self.state = change(self.state)
        self.engine.load(self.state)

    async def get(self, key: str = "r", method: str = "GET", **headers: str) -> tuple[int | None, float]:
        """Send one request; return its status and its duration."""
        answer = await self.ask(key, method, headers)
        return answer.status, answer.took

    async def ask(
        self, key: str, method: str = "GET", headers: Mapping[str, str] | None = None, receive: Receive | None = None
    ) -> Answer:
        """Send one request; return the result."""
        sent: list[Message] = []

        async def send(message: Message) -> None:
            sent.append(message)

        scope: Scope = {
            "type": "http",
            "method": method,
            "path": "/a",
            "headers": [(name.replace("_", "-").encode(), value.encode()) for name, value in (headers or {}).items()],
            keys.HANDLER: "/a",
            keys.REQUEST_ID: key,
            keys.SEND: self.server.send if self.server else send,
        }
        started = self.clock.now
        await self.faults(scope, receive or client(), send)
        start: Message = sent[0] if sent else {"headers": []}
        return Answer(
            start.get("status"),
            round(self.clock.now - started, 6),
            {name.decode(): value.decode() for name, value in start.get("headers", ())},
            b"".join(message.get("body", b"") for message in sent[1:]),
        )

    def receipt(self, name: str) -> dict[str, Any]:
        record = self.state.find(name)
        return self.engine.counts_of(record).receipt(record.spec.rate).model_dump(mode="json")

    def delay(self, name: str) -> dict[str, float]:
        """Return the medians of the planned and the measured delays, in seconds."""
        return {kind: durations.parse(of["p50"]) for kind, of in self.receipt(name)["delay"].items()}


class Crowd(World):
    """Many concurrent requests. The clock stands still while any task can run, then jumps to the next event."""

    def __init__(self, clock: Clock, max_held: int = 10_000, *, mark: bool = False) -> None:
        super().__init__(clock, max_held, mark=mark)
        clock.now = 0.0  # keeps the digits that a time of day would cost
        self._next: list[tuple[float, int, Callable[[], object]]] = []
        self._order = itertools.count()

    def at(self, due: float, act: Callable[[], object]) -> None:
        """Schedule an action at a time."""
        heapq.heappush(self._next, (due, next(self._order), act))

    async def until(self, due: float) -> None:
        """Wait until that time."""
        passed = asyncio.get_running_loop().create_future()
        self.at(due, partial(_finish, passed))
        await passed

    async def hold(self, turn: asyncio.Future[None], seconds: float) -> None:
        now = self.clock.now
        self.at(max(now + seconds, math.nextafter(now, math.inf)), turn.cancel)  # a clock never stands for ever
        await asyncio.wait({turn})

    async def visit(self, due: float, key: str = "r", stays: float | None = None) -> Answer:
        """Send a request at that time, and disconnect after `patience` seconds without a response."""
        await self.until(due)
        left = asyncio.get_running_loop().create_future()
        if stays is not None:
            self.at(due + stays, partial(_finish, left))
        return await self.ask(key, receive=client(left))

    def play(self, *parts: Coroutine[Any, Any, Answer | None]) -> list[Answer]:
        """Run all requests to the end; return the results."""

        async def played() -> list[Answer]:
            tasks = [asyncio.create_task(part) for part in parts]
            while not all(task.done() for task in tasks):
                for _ in range(_ROUNDS):
                    await asyncio.sleep(0)
                if self._next:
                    due, _, act = heapq.heappop(self._next)
                    self.clock.now = max(self.clock.now, due)
                    act()
            return [answer for task in tasks if (answer := task.result()) is not None]

        return asyncio.run(asyncio.wait_for(played(), patience(60)))


def _finish(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def client(left: asyncio.Future[None] | None = None) -> Receive:
    """Return the `receive` of a client that sends an empty body and stays connected until `left` is done."""
    messages = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if messages:
            return messages.pop()
        await (left or asyncio.Future())
        return {"type": "http.disconnect"}

    return receive


def near(seconds: float) -> Any:
    """Return an approximate value within the accuracy of the receipt's quantiles."""
    return pytest.approx(seconds, rel=0.0021)


def constant(seconds: float, mode: str = "add") -> dict[str, Any]:
    """Return a latency effect."""
    distribution = {"type": "constant", "value": seconds}
    return {"type": "latency", "distribution": distribution, "mode": mode, "cap": "10h"}
