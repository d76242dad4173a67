"""Limit how many requests are served at once."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.durations import Duration
from chaosapi.effects.base import DEPENDS_ON_LOAD, EffectMetric, Occupancy, RequestEffect, Tools
from chaosapi.effects.distributions import Distribution
from chaosapi.effects.error import Error
from chaosapi.models import Integer
from chaosapi.response import ResponseProgress


class _BusyError(Error):
    """A 503 as the queue of the service gives it."""

    def detail(self, status: int, tools: Tools) -> str | None:
        return "the service is busy: try again later" if super().detail(status, tools) else None


_BUSY = _BusyError(status=503)


class Ticket:
    """A request that is served or queued."""

    def __init__(self, occupancy: Occupancy) -> None:
        self.admitted = False
        self.left = False
        self.occupancy = occupancy
        self.turn: asyncio.Future[None] | None = None
        """Wakes the request when it may have been admitted."""


class Places:
    """The places of one replica: how many are in use, and a first-in, first-out queue of requests."""

    def __init__(self) -> None:
        self.limit = 0
        self.in_use = 0
        self.rejected = 0
        self.queue: OrderedDict[Ticket, None] = OrderedDict()

    def join(self, occupancy: Occupancy) -> Ticket:
        """Take a place if one is free and the queue is empty; otherwise join the end of the queue."""
        ticket = Ticket(occupancy)
        occupancy.join()
        self.queue[ticket] = None
        self.admit()
        return ticket

    def admit(self) -> None:
        """Give free places to the requests that have waited longest."""
        while self.queue and self.in_use < self.limit:
            ticket, _ = self.queue.popitem(last=False)
            self.in_use += 1
            ticket.admitted = True
            ticket.occupancy.admit()
            if ticket.turn and not ticket.turn.done():
                ticket.turn.set_result(None)

    def leave(self, ticket: Ticket) -> None:
        """Free the place, or leave the queue; a second call does nothing."""
        if ticket.left:
            return
        ticket.left = True
        ticket.occupancy.leave(admitted=ticket.admitted)
        if ticket.admitted:
            self.in_use -= 1
        else:
            del self.queue[ticket]
        self.admit()


class Capacity(RequestEffect):
    """Serve at most `concurrency` requests at once; more wait in a queue, and requests beyond the queue get 503.

    So a traffic spike alone saturates the service, latency rises before errors appear, and retries can keep it down
    after the spike. There is no `Retry-After`: a saturated service cannot predict its recovery. The limit is applied
    before other effects, so a request that they delay keeps its place. The last byte of the response frees the place,
    whatever the app does afterwards; so does a client that disconnects.

    In the receipt, `injected` counts the requests that waited or were refused (with a `service_time`: all). The planned
    delay is the service time, 0 without one; the measured delay includes the wait in the queue.
    """

    type: Literal["capacity"] = "capacity"
    concurrency: Annotated[Integer, Field(ge=1, le=10_000)]
    """How many requests each replica serves at once."""
    queue: Annotated[Integer, Field(ge=0, le=10_000)] = 100
    """How many more requests may wait, first come, first served."""
    queue_timeout: Annotated[Duration, Field(gt=0)] = 5.0
    """Requests queued for longer get 503."""
    service_time: Distribution | None = None
    """How long each request occupies its place before the app runs, drawn for each request; none unless given."""

    gate: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = DEPENDS_ON_LOAD
    counts_itself: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    shorthand: ClassVar[str | None] = "concurrency"
    example: ClassVar[dict[str, Any]] = {
        "type": "capacity",
        "concurrency": 10,
        "queue": 50,
        "queue_timeout": "2s",
        "service_time": {"type": "exponential", "mean": "100ms"},
    }
    metrics: ClassVar[Mapping[str, EffectMetric]] = {
        "capacity_in_use": EffectMetric("Requests that are being served under a capacity limit.", "livesum"),
        "capacity_queued": EffectMetric("Requests that wait for a place.", "livesum"),
        "capacity_rejected_total": EffectMetric("Requests refused because the queue was full or the wait too long."),
    }

    def remember(self, former: Any = None) -> Places:
        """Return the places with the new limit.

        A higher limit admits queued requests at once; a lower one takes effect as requests finish.
        """
        places: Places = former or Places()
        places.limit = self.concurrency
        return places

    def readings(self, memory: Places) -> Mapping[str, float]:
        """Return the requests in service, in the queue and refused."""
        return dict(zip(self.metrics, (memory.in_use, len(memory.queue), memory.rejected), strict=True))

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Take a place, keep it until the response is complete, and always free it."""
        places: Places = tools.memory
        joined = tools.now()
        ticket = places.join(tools.occupancy)
        progress = ResponseProgress(scope["method"])

        async def observed(message: Message) -> None:
            await send(message)
            progress.observe(message)
            if progress.complete:
                places.leave(ticket)

        try:
            refused = not ticket.admitted and len(places.queue) > self.queue
            waits = not (refused or (ticket.admitted and self.service_time is None)) and tools.hold()
            queued = 0.0
            if waits:
                queued = await self._wait(places, ticket, tools, joined)
                tools.release()
            rejected = not ticket.admitted and (refused or waits) and tools.acting()
            tools.record_wait(joined, queued, admitted=ticket.admitted, rejected=rejected)
            if rejected:
                places.rejected += 1
                app = tools.instead(_BUSY)
            if ticket.admitted or not tools.disconnected():
                await app(scope, receive, observed)
        finally:
            places.leave(ticket)

    async def _wait(self, places: Places, ticket: Ticket, tools: Tools, joined: float) -> float:
        """Wait for a place, then for the service time; return the seconds of the first wait."""
        service = 0.0
        try:
            while not ticket.admitted and tools.acting() and (left := joined + self.queue_timeout - tools.now()) > 0:
                ticket.turn = asyncio.get_running_loop().create_future()
                await tools.until(ticket.turn, left)
                places.admit()  # a patch may have raised the limit
            queued = tools.now() - joined
            if ticket.admitted and self.service_time:
                service = self.service_time.sample(tools.draw)
                await tools.sleep(service)
        finally:
            tools.record_delay(service, tools.now() - joined)
        return queued
