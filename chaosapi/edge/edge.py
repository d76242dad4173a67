"""The middleware that refuses what operators limit, block or shed, and queues what the replica cannot serve at once."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.api import problems
from chaosapi.calls import Wait, current_calls
from chaosapi.edge.metrics import EdgeMetrics
from chaosapi.effects.base import Occupancy
from chaosapi.effects.capacity import Places, Ticket
from chaosapi.effects.rate_limit import Bucket
from chaosapi.faults.dice import Dice
from chaosapi.routes import UNKNOWN
from chaosapi.world.world import CLASSES, RequestClass, RequestLimit, ShopSettings, World

_NO_CLASS: Final = "all"
_ID_HEADER: Final = b"x-request-id"
_SHED: Final = Dice.of(0, "shed")
_RETRY_SHED_S: Final = 5
_RETRY_QUEUE_S: Final = 1


class RequestReader(NamedTuple):
    """What the edge asks about requests and their queue."""

    handler_of: Callable[[Scope], str | None]
    """Returns the template of a request's route."""
    meter: Callable[[str], Occupancy]
    """Returns what counts the queue in front of a route."""
    classes: Mapping[str, RequestClass] | None
    """The class of each template that is not in the class `browse`; None without a shop, which has all classes."""


class _Refusal(NamedTuple):
    reason: str
    status: int
    title: str
    detail: str
    retry_s: float | None


class Edge:
    """Pure ASGI, in front of the faults: what it refuses reaches neither faults nor app.

    It reads the world at each request, and takes no time while the world limits nothing. Of the requests of a class,
    their ids decide which are shed, so a higher share sheds those too that a lower one shed.
    """

    def __init__(
        self, world: Callable[[], World], reader: RequestReader, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`clock` returns seconds since an arbitrary moment."""
        self._world = world
        self._reader = reader
        self._clock = clock
        self._seen: World | None = None
        self._idle = True
        self._limits: list[tuple[tuple[bytes, bytes], RequestLimit, Bucket]] = []
        self._places = Places()
        self.metrics = EdgeMetrics(CLASSES if reader.classes is not None else (_NO_CLASS,))

    def around(self, app: ASGIApp, *, exempts: bool = False) -> ASGIApp:
        """Return the app behind this edge; several apps share its limits and its queue.

        With `exempts` a request without a handler in its scope passes: it is exempt.
        """

        def pass_on(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            world = self._world()
            if world is not self._seen:
                self._read(world)
            if self._idle or scope["type"] != "http" or (exempts and keys.HANDLER not in scope):
                return app(scope, receive, send)
            return self._admit(world, app, scope, receive, send)

        return pass_on

    def _read(self, world: World) -> None:
        former = {limit: bucket for _, limit, bucket in self._limits}
        self._limits = [
            ((limit.header.encode(), limit.value.encode()), limit, former.get(limit) or Bucket())
            for limit in world.limits
        ]
        self._places.limit = world.settings.concurrency or 2**62
        self._places.admit()
        self._idle = not (world.limits or any(world.shed.values()) or world.settings.concurrency)
        self._seen = world

    async def _admit(self, world: World, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        handler = scope.get(keys.HANDLER) or self._reader.handler_of(scope) or UNKNOWN
        kind = self._class_of(handler)
        refusal = self._limited(scope) or self._shed(world, kind, scope)
        if refusal:
            await self._refuse(refusal, kind, scope, receive, send)
        elif world.settings.concurrency:
            await self._queue(world.settings, handler, app, scope, receive, send)
        else:
            await app(scope, receive, send)

    def _class_of(self, handler: str) -> str:
        classes = self._reader.classes
        return _NO_CLASS if classes is None else classes.get(handler, "browse")

    def _limited(self, scope: Scope) -> _Refusal | None:
        for pair, limit, bucket in self._limits:
            if pair not in scope["headers"]:
                continue
            rate = limit.requests_per_second
            if not rate:
                return _Refusal("block", 429, "Too Many Requests", f"requests of this {limit.header} are blocked", None)
            wait = bucket.take(self._clock(), rate, max(1, math.ceil(rate)))
            if not wait:
                return None
            detail = f"requests of this {limit.header} are limited to {rate:g} a second"
            return _Refusal("limit", 429, "Too Many Requests", detail, wait)
        return None

    def _shed(self, world: World, kind: str, scope: Scope) -> _Refusal | None:
        share = world.shed.get(kind, 0.0)  # type: ignore[call-overload]  # a class, or "all", which is never shed
        if not share:
            return None
        sent = next((value for name, value in scope["headers"] if name == _ID_HEADER), b"")
        if _SHED.hit(sent.decode("latin-1")) >= share:
            return None
        return _Refusal("shed", 503, "Service Unavailable", "too many requests: try again later", _RETRY_SHED_S)

    async def _queue(
        self, settings: ShopSettings, handler: str, app: ASGIApp, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve the request when it has a place, or refuse it when the queue is full or the wait too long."""
        places = self._places
        started = self._clock()
        ticket = places.join(self._reader.meter(handler))
        full = not ticket.admitted and len(places.queue) > settings.queue
        try:
            if not ticket.admitted and not full:
                await self._wait(ticket, settings.queue_timeout)
            self._record(handler, ticket, started)
            if ticket.admitted:
                await app(scope, receive, send)
        finally:
            places.leave(ticket)
        if not ticket.admitted:
            reason = "queue_full" if full else "queue_timeout"
            detail = "the service is busy: try again later"
            refusal = _Refusal(reason, 503, "Service Unavailable", detail, _RETRY_QUEUE_S)
            await self._refuse(refusal, self._class_of(handler), scope, receive, send)

    @staticmethod
    async def _wait(ticket: Ticket, timeout_s: float) -> None:
        ticket.turn = asyncio.get_running_loop().create_future()
        await asyncio.wait([ticket.turn], timeout=timeout_s)

    def _record(self, handler: str, ticket: Ticket, started: float) -> None:
        calls = current_calls.get()
        if calls is not None:
            waited = self._clock() - started
            since = calls.clock() - waited
            calls.record_wait(Wait(handler, "", ticket.admitted, since, waited, rejected=not ticket.admitted))

    async def _refuse(self, refusal: _Refusal, kind: str, scope: Scope, receive: Receive, send: Send) -> None:
        scope.pop(keys.SEND, None)
        self.metrics.count(refusal.reason, kind)
        response = problems.response(refusal.status, refusal.title, refusal.detail, None)
        if refusal.retry_s is not None:
            response.headers["retry-after"] = str(math.ceil(refusal.retry_s))
        await response(scope, receive, send)
