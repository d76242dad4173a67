"""Serve only so many requests at once."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.durations import Duration
from chaosapi.effects.base import DEPENDS_ON_LOAD, EffectMetric, RequestEffect, Tools
from chaosapi.effects.distributions import Distribution
from chaosapi.effects.error import Error
from chaosapi.models import Integer

_BUSY = Error(status=503)


class Ticket:
    """One request's claim to a place."""

    admitted = False
    turn: asyncio.Future[None] | None = None
    """Done when it is worth a look whether the ticket is admitted."""


class Places:
    """The places of one replica: how many are taken, and who waits for one, first come, first served."""

    def __init__(self) -> None:
        self.limit = 0
        self.in_use = 0
        self.rejected = 0
        self.queue: OrderedDict[Ticket, None] = OrderedDict()

    def join(self) -> Ticket:
        """Take a place if one is free and nobody waits; else stand at the end of the queue."""
        ticket = Ticket()
        self.queue[ticket] = None
        self.admit()
        return ticket

    def admit(self) -> None:
        """Give free places to those who wait longest."""
        while self.queue and self.in_use < self.limit:
            ticket, _ = self.queue.popitem(last=False)
            self.in_use += 1
            ticket.admitted = True
            if ticket.turn and not ticket.turn.done():
                ticket.turn.set_result(None)

    def leave(self, ticket: Ticket) -> None:
        """Give up the place, or the wait for it."""
        if ticket.admitted:
            self.in_use -= 1
        else:
            del self.queue[ticket]
        self.admit()


class Capacity(RequestEffect):
    """Serve at most `concurrency` requests at once; more wait in a queue, and what is too much for that gets 503.

    So a traffic spike alone saturates the service, latency climbs before errors come, and retries can keep it down
    after the spike. There is no `Retry-After`: a saturated service cannot know when. It stands before other effects, so
    a request that they slow down keeps its place meanwhile. A client that leaves gives up its place, or its wait.

    The receipt's `injected` are the requests that waited or were refused (with a `service_time`: all). Its planned
    delay is the service time, 0 where there was none; the measured one has the wait in the queue as well.
    """

    type: Literal["capacity"] = "capacity"
    concurrency: Annotated[Integer, Field(ge=1, le=10_000)]
    """How many requests are served at once, on each replica."""
    queue: Annotated[Integer, Field(ge=0, le=10_000)] = 100
    """How many more may wait, first come, first served."""
    queue_timeout: Annotated[Duration, Field(gt=0)] = 5.0
    """Who has waited so long gets 503."""
    service_time: Distribution | None = None
    """How long a place is taken before the app does its own work, drawn for each request; nothing unless given."""

    gate: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = DEPENDS_ON_LOAD
    holds: ClassVar[bool] = True
    picks: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    example: ClassVar[dict[str, Any]] = {
        "type": "capacity",
        "concurrency": 10,
        "queue": 50,
        "queue_timeout": "2s",
        "service_time": {"type": "exponential", "mean": "100ms"},
    }
    shows: ClassVar[Mapping[str, EffectMetric]] = {
        "capacity_in_use": EffectMetric("Requests that are being served within a limited capacity.", "livesum"),
        "capacity_queued": EffectMetric("Requests that wait for a place.", "livesum"),
        "capacity_rejected_total": EffectMetric("Requests refused because the queue was full or the wait too long."),
    }

    def remember(self, former: Any = None) -> Places:
        """Make the places, or change how many there are: at once for those who wait, as places get free otherwise."""
        places: Places = former or Places()
        places.limit = self.concurrency
        return places

    def readings(self, memory: Places) -> Mapping[str, float]:
        """Return how full it is, and how many were refused."""
        return dict(zip(self.shows, (memory.in_use, len(memory.queue), memory.rejected), strict=True))

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Find a place, keep it while the request is served, and give it back whatever happens."""
        places: Places = tools.memory
        ticket = places.join()
        try:
            if self.service_time or not ticket.admitted:
                tools.count_injected()
                if ticket.admitted or len(places.queue) <= self.queue:
                    await self._wait(places, ticket, tools)
            tools.release()
            if not ticket.admitted and tools.acting():
                places.rejected += 1
                app = partial(_BUSY.inject, app, tools=tools)
            if ticket.admitted or not tools.disconnected():
                await app(scope, receive, send)
        finally:
            places.leave(ticket)

    async def _wait(self, places: Places, ticket: Ticket, tools: Tools) -> None:
        """Wait for the place, then for as long as the service takes."""
        joined = tools.now()
        service = 0.0
        try:
            while not ticket.admitted and tools.acting() and (left := joined + self.queue_timeout - tools.now()) > 0:
                ticket.turn = asyncio.get_running_loop().create_future()
                await tools.until(ticket.turn, left)
                places.admit()  # there may be more of them now
            if ticket.admitted and self.service_time:
                service = self.service_time.sample(tools.draw)
                await tools.sleep(service)
        finally:
            tools.record_delay(service, tools.now() - joined)
