"""Between the server and the app: choose who is hit, inject, count."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.engine import Engine, Hit

Hold = Callable[[asyncio.Event, float], Awaitable[None]]
"""Waits for the event, or for so many seconds, whichever is first."""


async def until(event: asyncio.Event, seconds: float) -> None:
    """Wait for the event, at most so long."""
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


class Faults:
    """Pure ASGI: with no fault on the request's route it costs a few attribute look-ups.

    Of the faults that hit a request, those that only shape it (delays, damage) wrap the one that answers it; of several
    that would answer, the oldest does and the others are counted as skipped.
    """

    def __init__(
        self,
        app: ASGIApp,
        engine: Engine,
        *,
        max_held: int = 10_000,
        clock: Callable[[], float] = time.perf_counter,
        hold: Hold = until,
    ) -> None:
        self.app, self.engine, self.max_held = app, engine, max_held
        self.held = 0
        """Requests that an effect keeps waiting now."""
        self._clock, self._hold = clock, hold

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the faults act on the request, or pass it on."""
        if not self.engine.by_route or "chaosapi.handler" not in scope:
            await self.app(scope, receive, send)
            return
        hits = self.engine.roll(scope, scope["chaosapi.handler"], scope["chaosapi.request_id"])
        app, holds = self._chain(hits, self._clock())
        self.held += holds
        try:
            await app(scope, receive, send)
        finally:
            self.held -= holds

    def _chain(self, hits: list[Hit], arrived: float) -> tuple[ASGIApp, int]:
        """Nest the effects around the app, in the order in which they act; tell how many of them hold the request."""
        shaping: list[Hit] = []
        answering: list[Hit] = []
        for hit in hits:
            tally = hit.run.tally
            if hit.run.effect.holds and self.held >= self.max_held:
                tally.skipped["max_held"] += 1
            elif not hit.run.effect.ends_request:
                shaping.append(hit)
            elif not answering:
                answering.append(hit)
            else:
                tally.skipped["preempted"] += 1
        app, acting = self.app, shaping + answering
        for hit in reversed(acting):
            hit.run.tally.injected += 1
            app = partial(hit.run.effect.inject, app, tools=Injection(hit, arrived, self._clock, self._hold))
        return app, int(any(hit.run.effect.holds for hit in acting))


class Injection:
    """The tools that one effect gets for one request."""

    def __init__(self, hit: Hit, arrived: float, clock: Callable[[], float], hold: Hold) -> None:
        self.draw, self.magnitude, self.arrived = hit.draw, hit.magnitude, arrived
        self.now, self._run, self._hold = clock, hit.run, hold

    async def sleep(self, planned: float, since: float | None = None) -> None:
        """Hold the request until `planned` seconds after `since`, or until the fault ends."""
        started = self.now() if since is None else since
        # Event loops may wake up to a millisecond early: look again until the deadline has really passed.
        while (left := planned - (self.now() - started)) > 0 and (rest := self._run.remaining()) > 0:
            await self._hold(self._run.released, min(left, rest))

    async def wait(self, planned: float, since: float | None = None) -> None:
        """Sleep, and count planned and real delay, also when the client leaves in the middle."""
        started = self.now() if since is None else since
        try:
            await self.sleep(planned, started)
        finally:
            self._run.tally.delayed(planned, self.now() - started)
