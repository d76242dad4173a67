"""One effect on one request: the tools that the effect gets, and what is told of it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.engine import Hit
from chaosapi.presence import Presence

Hold = Callable[[asyncio.Future[None], float], Awaitable[object]]
"""Waits for the future, or for so many seconds, whichever is first; never raises because of it."""


async def hold(turn: asyncio.Future[None], seconds: float) -> None:
    """Wait for the future, at most so long."""
    await asyncio.wait({turn}, timeout=seconds)


class Injection:
    """The tools that one effect gets for one request, and its line in the receipt."""

    def __init__(self, hit: Hit, presence: Presence, clock: Callable[[], float], hold: Hold) -> None:
        self.now, self.arrived = clock, clock()
        self.draw, self.magnitude, self.memory = hit.draw, hit.magnitude, hit.memory
        self.effect, self.did, self.held = hit.effect, False, 0.0
        self._run, self._presence, self._hold = hit.run, presence, hold
        self._reached = False

    @property
    def fault(self) -> str:
        """Return the fault's name."""
        return self._run.plan.record.name

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the effect act; an ASGI app around `app`."""
        self._reached = True
        if not self.effect.picks:
            self.acted()
        await self.effect.inject(app, scope, receive, send, self)

    def close(self) -> None:
        """Settle the account: a gate may have kept the request from this effect."""
        if not self._reached:
            self.skipped("preempted")

    def acting(self) -> bool:
        """Tell whether the fault has not ended and the client has not left."""
        return self._run.remaining() > 0 and not self._presence.gone

    def left(self) -> bool:
        """Tell whether the client has left."""
        return self._presence.gone

    async def until(self, turn: asyncio.Future[None], seconds: float) -> None:
        """Wait for the future, at most so long; cancelled on any change of the fault, or when the client leaves."""
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, turn.cancel)
        with self._run.waking(wake), self._presence.watch(wake):
            if self.acting():
                await self._hold(turn, min(seconds, self._run.remaining()))

    async def sleep(self, planned: float, since: float | None = None) -> None:
        """Hold the request until `planned` seconds after `since`, or while `acting`."""
        started = self.now() if since is None else since
        # Event loops may wake up to a millisecond early: look again until the deadline has really passed.
        while (left := planned - (self.now() - started)) > 0 and self.acting():
            await self.until(asyncio.get_running_loop().create_future(), left)

    async def wait(self, planned: float, since: float | None = None) -> None:
        """Sleep, and count planned and real delay, also when the client leaves in the middle."""
        started = self.now() if since is None else since
        try:
            await self.sleep(planned, started)
        finally:
            self.delayed(planned, self.now() - started)

    def delayed(self, planned: float, measured: float) -> None:
        """Count one delay in the receipt."""
        self.held = measured
        self._run.tally.delayed(planned, measured)

    def acted(self) -> None:
        """Count the request as hit."""
        if not self.did:
            self._run.tally.injected += 1
        self.did = True

    def skipped(self, reason: str) -> None:
        """Count the request as let off."""
        self._run.tally.skipped[reason] += 1


def marked(send: Send, injections: Iterable[Injection]) -> Send:
    """Let the answer name the faults that acted on it, in `x-chaos-fault` and `Server-Timing` (W3C; dur in ms)."""

    async def marking(message: Message) -> None:
        if message["type"] == "http.response.start":
            acted = [injection for injection in injections if injection.did]
            timing = [f"{each.fault};desc={each.effect.type};dur={1000 * each.held:.1f}" for each in acted]
            added = {b"x-chaos-fault": ", ".join(each.fault for each in acted), b"server-timing": ", ".join(timing)}
            headers = [(name, value.encode()) for name, value in added.items() if value]
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return marking
