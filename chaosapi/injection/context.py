"""One effect on one request: the tools that the effect gets, and what is told of it."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.injection.connection import Drop
from chaosapi.injection.disconnect import DisconnectWatcher
from chaosapi.injection.engine import Hit

Hold = Callable[[asyncio.Future[None], float], Awaitable[object]]
"""Waits for the future, or for so many seconds, whichever is first; never raises because of it."""

_LOOK = 0.5
"""Seconds between two looks at the held requests: how late an end that no event announces is noticed."""


async def hold(turn: asyncio.Future[None], seconds: float) -> None:
    """Wait for the future, at most so long."""
    await asyncio.wait({turn}, timeout=seconds)


class HeldRequests:
    """The requests that effects hold now.

    Looks at each twice a second. So a lost connection that the server does not report, the end of a fault whose wait is
    blocked by a client that does not read, and a step of the clock let go of a request within half a second.
    """

    def __init__(self) -> None:
        self._injections: set[EffectContext] = set()
        self._requests: Counter[DisconnectWatcher] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The one in which the next look is due."""

    def __len__(self) -> int:
        """Return how many requests are held, each counted once however many effects hold it."""
        return len(self._requests)

    def add(self, injection: "EffectContext", presence: DisconnectWatcher) -> None:
        """Count a request as held by an effect."""
        self._injections.add(injection)
        self._requests[presence] += 1
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(_LOOK, self._check_disconnects)

    def discard(self, injection: "EffectContext", presence: DisconnectWatcher) -> None:
        """Count it no longer."""
        if injection in self._injections:
            self._injections.remove(injection)
            self._requests[presence] -= 1
            if not self._requests[presence]:
                del self._requests[presence]

    def _check_disconnects(self) -> None:
        self._loop = None
        if self._injections:
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(_LOOK, self._check_disconnects)
        for injection in tuple(self._injections):
            injection.check_disconnect()


class EffectContext:
    """The tools that one effect gets for one request, and its line in the receipt.

    Every wait of an effect goes through `until`, which ends with the fault, when the client leaves, and after the
    seconds it was given; the server's stop ends the faults.
    """

    def __init__(
        self,
        hit: Hit,
        presence: DisconnectWatcher,
        drop: Drop,
        held: HeldRequests,
        clock: Callable[[], float],
        hold: Hold,
    ) -> None:
        self.now = clock
        self.arrived = clock()
        self.draw = hit.draw
        self.magnitude = hit.magnitude
        self.memory = hit.memory
        self.effect = hit.effect
        self.injected = False
        self.delay_s = 0.0
        self.drop = drop
        self._run = hit.run
        self._watcher = presence
        self._held = held
        self._hold = hold
        self._turn: asyncio.Future[None] | None = None
        self._reached = False
        if hit.effect.holds:
            held.add(self, presence)

    @property
    def fault(self) -> str:
        """Return the fault's name."""
        return self._run.compiled.record.name

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the effect act, unless its fault has ended since the request was hit; an ASGI app around `app`."""
        self._reached = True
        if self.over():
            self.count_skipped("ended")
            self.release()
            await app(scope, receive, send)
            return
        if not self.effect.picks:
            self.count_injected()
        await self.effect.inject(app, scope, receive, send, self)

    def close(self) -> None:
        """Settle the account: a gate may have kept the request from this effect."""
        self.release()
        if not self._reached:
            self.count_skipped("preempted")

    def release(self) -> None:
        """Count the request as held no longer by this effect."""
        self._held.discard(self, self._watcher)

    def check_disconnect(self) -> None:
        """Let go if the fault has ended or the client has left, and nobody was told."""
        self._watcher.check()
        if not self.acting():
            self.release()
            if self._turn:
                self._turn.cancel()

    def acting(self) -> bool:
        """Tell whether the fault has not ended and the client has not left."""
        return not (self.over() or self._watcher.disconnected)

    def over(self) -> bool:
        """Tell whether the fault has ended, or may act here no more."""
        return not self._run.acts()

    def disconnected(self) -> bool:
        """Tell whether the client has left."""
        return self._watcher.disconnected

    async def until(self, turn: asyncio.Future[None], seconds: float) -> None:
        """Wait for the future, at most so long; cancelled on any change of the fault, or when the client leaves."""
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, turn.cancel)
        with self._run.on_end(wake), self._watcher.watch(wake):
            if self.acting():
                self._turn = turn
                await self._hold(turn, min(seconds, self._run.remaining()))
                self._turn = None

    async def sleep(self, planned: float, since: float | None = None) -> None:
        """Hold the request until `planned` seconds after `since`, or while `acting`."""
        started = self.now() if since is None else since
        # Event loops may wake up to a millisecond early: look again until the deadline has really passed.
        while (left := planned - (self.now() - started)) > 0 and self.acting():
            await self.until(asyncio.get_running_loop().create_future(), left)

    async def wait(self, planned: float, since: float | None = None) -> None:
        """Sleep, count planned and real delay, also when the client leaves in the middle, and release."""
        started = self.now() if since is None else since
        try:
            await self.sleep(planned, started)
        finally:
            self.record_delay(planned, self.now() - started)
            self.release()

    def record_delay(self, planned: float, measured: float) -> None:
        """Count one delay in the receipt."""
        self.delay_s = measured
        self._run.counts.record_delay(planned, measured)

    def count_injected(self) -> None:
        """Count the request as hit."""
        if not self.injected:
            self._run.counts.injected += 1
        self.injected = True

    def count_skipped(self, reason: str) -> None:
        """Count the request as let off, unless it was hit already: each is counted once."""
        if not self.injected:
            self._run.counts.skipped[reason] += 1


def mark_response(send: Send, injections: Iterable[EffectContext]) -> Send:
    """Let the answer name the faults that acted on it, in `x-chaos-fault` and `Server-Timing` (W3C; dur in ms)."""

    async def marking(message: Message) -> None:
        if message["type"] == "http.response.start":
            acted = [injection for injection in injections if injection.injected]
            timing = [f"{each.fault};desc={each.effect.type};dur={1000 * each.delay_s:.1f}" for each in acted]
            added = {b"x-chaos-fault": ", ".join(each.fault for each in acted), b"server-timing": ", ".join(timing)}
            headers = [(name, value.encode()) for name, value in added.items() if value]
            message = {**message, "headers": [*message["headers"], *headers]}
        await send(message)

    return marking
