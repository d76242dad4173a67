"""One effect on one request: the tools that the effect gets, and the record of what it did."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import NamedTuple

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.calls import Wait, current_calls
from chaosapi.effects import RequestEffect
from chaosapi.effects.base import Occupancy
from chaosapi.injection.connection import Droppable
from chaosapi.injection.disconnect import DisconnectWatcher
from chaosapi.injection.engine import Hit

Hold = Callable[[asyncio.Future[None], float], Awaitable[object]]
"""Waits for a future, at most a number of seconds; raises neither a time-out nor the future's cancellation."""

_CHECK_INTERVAL_S = 0.5
"""The time between two checks of the held requests, and so the longest delay of an end without an event."""


async def hold(future: asyncio.Future[None], seconds: float) -> None:
    """Wait for the future, at most `seconds`."""
    await asyncio.wait({future}, timeout=seconds)


Details = Callable[[str, int], str | None]
"""Returns what the app says on a route when it answers with a status; None where that is not known."""


def no_details(_: str, __: int) -> None:
    """Know nothing of what an app says."""


class Queue(NamedTuple):
    """The queue in which an effect lets requests wait."""

    route: str
    dependency: str
    """Empty for the queue in front of the service."""
    occupancy: Occupancy


class HeldRequests:
    """The requests that effects hold now, at most `most`.

    Each is checked twice a second. So a request is released within half a second after a disconnect that the server
    does not report, after a step of the clock, and when its fault ends while the client does not read the response.
    """

    def __init__(self, most: int = 10_000) -> None:
        self.most = most
        self._injections: set[EffectContext] = set()
        self._requests: Counter[DisconnectWatcher] = Counter()
        self._loop: asyncio.AbstractEventLoop | None = None
        """The event loop in which the next check is scheduled."""

    def __len__(self) -> int:
        """Return how many requests are held, each counted once however many effects hold it."""
        return len(self._requests)

    def add(self, injection: "EffectContext", watcher: DisconnectWatcher) -> bool:
        """Count a request as held by an effect; return False where no more may be held."""
        if injection in self._injections:
            return True
        if watcher not in self._requests and len(self._requests) >= self.most:
            return False
        self._injections.add(injection)
        self._requests[watcher] += 1
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._loop = loop
            loop.call_later(_CHECK_INTERVAL_S, self._check_disconnects)
        return True

    def discard(self, injection: "EffectContext", watcher: DisconnectWatcher) -> None:
        """Stop counting a request as held by an effect."""
        if injection in self._injections:
            self._injections.remove(injection)
            self._requests[watcher] -= 1
            if not self._requests[watcher]:
                del self._requests[watcher]

    def _check_disconnects(self) -> None:
        self._loop = None
        if self._injections:
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(_CHECK_INTERVAL_S, self._check_disconnects)
        for injection in tuple(self._injections):
            injection.check_disconnect()


class EffectContext:
    """The tools that one effect gets for one request; counts in the receipt what the effect did.

    Every wait of an effect goes through `until`, which ends when the fault ends, when the client disconnects, or after
    the given seconds. A shutdown of the server ends all faults.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - a parameter object would cost an allocation
        self,
        app: ASGIApp,
        hit: Hit,
        watcher: DisconnectWatcher,
        connection: Droppable,
        held: HeldRequests,
        clock: Callable[[], float],
        hold: Hold,
        queue: Queue,
        details: Details = no_details,
    ) -> None:
        self.now = clock
        self.arrived = clock()
        self.draw = hit.draw
        self.magnitude = hit.magnitude
        self.memory = hit.memory
        self.effect = hit.effect
        self.injected = False
        self.delay_s = 0.0
        self.can_drop = connection.reachable
        self.drop = connection.drop
        self.occupancy = queue.occupancy
        self._queue = queue
        self._details = details
        self._fault = hit.fault
        self._watcher = watcher
        self._held = held
        self._hold = hold
        self._awaited: asyncio.Future[None] | None = None
        self._app = app
        self._counted = False
        self._passed_on = False
        """Whether the request went into the app's middleware, inside which the effect acts."""
        self._reached = False

    @property
    def fault(self) -> str:
        """Return the fault's name."""
        return self._fault.compiled.record.name

    def around(self, app: ASGIApp) -> ASGIApp:
        """Return the app with the effect around it; with `inside`, the effect acts inside the app's own middleware."""
        return partial(self.inject, app) if self.effect.inside is None else partial(self._pass_on, app)

    def _pass_on(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        self._passed_on = True
        scope[keys.INNER] = self.effect.inside, self.inject
        return app(scope, receive, send)

    def problem_detail(self, status: int) -> str | None:
        """Return what the app itself says when it answers with this status; None where that is not known."""
        return self._details(self._queue.route, status)

    def instead(self, effect: RequestEffect) -> ASGIApp:
        """Return an app that answers by another effect, inside the app's own middleware; no other fault acts."""

        def answer(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
            scope[keys.INNER] = effect.inside, partial(effect.inject, tools=self)
            return self._app(scope, receive, send)

        return answer

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the effect act, unless its fault has ended since the request was hit; without `app`, an ASGI app."""
        self._reached = True
        if self.over():
            self.count_skipped("ended")
            await app(scope, receive, send)
            return
        if not self.effect.counts_itself:
            self.count_injected()
        await self.effect.inject(app, scope, receive, send, self)

    def close(self) -> None:
        """Release the request; count it as skipped if the effect neither acted nor said why not."""
        self.release()
        if not self._reached:
            self.count_skipped("app_answered" if self._passed_on else "preempted")
        elif not self.effect.gate:
            self.count_skipped("unfinished")

    def hold(self) -> bool:
        """Count the request as held and injected; return False, and count it as skipped, where it must not be held."""
        if self.over():
            self.count_skipped("ended")
            return False
        if not self._held.add(self, self._watcher):
            self.count_skipped("max_held")
            return False
        self.count_injected()
        return True

    def release(self) -> None:
        """Stop counting the request as held by this effect."""
        self._held.discard(self, self._watcher)

    def check_disconnect(self) -> None:
        """Release the request if the fault has ended or the client has disconnected without an event."""
        self._watcher.check()
        if not self.acting():
            self.release()
            if self._awaited:
                self._awaited.cancel()

    def acting(self) -> bool:
        """Return whether the fault may still act here and the client is connected."""
        return not (self.over() or self._watcher.disconnected)

    def over(self) -> bool:
        """Return whether the fault has ended or this replica's policy denies it."""
        return not self._fault.acts()

    def disconnected(self) -> bool:
        return self._watcher.disconnected

    async def until(self, future: asyncio.Future[None], seconds: float) -> None:
        """Wait for the future, at most `seconds`; cancel it when the fault changes or the client disconnects."""
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, future.cancel)
        with self._fault.on_end(wake), self._watcher.watch(wake):
            if self.acting():
                self._awaited = future
                await self._hold(future, min(seconds, self._fault.remaining()))
                self._awaited = None

    async def sleep(self, planned: float, since: float | None = None) -> None:
        """Hold the request until `planned` seconds after `since`, or while `acting`."""
        started = self.now() if since is None else since
        # Event loops may wake up to a millisecond early: check again until the deadline has really passed.
        while (left := planned - (self.now() - started)) > 0 and self.acting():
            await self.until(asyncio.get_running_loop().create_future(), left)

    async def wait(self, planned: float, since: float | None = None) -> None:
        """Sleep, record the planned and the measured delay, also after a disconnect, and release."""
        started = self.now() if since is None else since
        try:
            await self.sleep(planned, started)
        finally:
            self.record_delay(planned, self.now() - started)
            self.release()

    async def give_way(self) -> None:
        """Let other requests have a turn of the event loop."""
        await asyncio.sleep(0)

    def record_delay(self, planned: float, measured: float) -> None:
        """Record one delay, in seconds, in the receipt."""
        self.delay_s = measured
        self._fault.counts.record_delay(planned, measured)

    def record_wait(self, since: float, seconds: float, *, admitted: bool, rejected: bool) -> None:
        """Record one wait for a place in the record of the request's calls."""
        calls = current_calls.get()
        if calls is not None:
            calls.record_wait(Wait(self._queue.route, self._queue.dependency, admitted, since, seconds, rejected))

    def count_injected(self) -> None:
        """Count the request as injected, unless it is counted already."""
        if not self._counted:
            self._fault.counts.injected += 1
            self._counted = self.injected = True

    def count_skipped(self, reason: str) -> None:
        """Count the request as skipped, unless it is counted already."""
        if not self._counted:
            self._fault.counts.skipped[reason] += 1
            self._counted = True


def mark_response(send: Send, injections: Iterable[EffectContext]) -> Send:
    """Add the faults that acted to the response headers: `x-chaos-fault` and `Server-Timing` (W3C; dur in ms)."""

    async def marking(message: Message) -> None:
        if message["type"] == "http.response.start":
            acted = [injection for injection in injections if injection.injected]
            timing = [f"{each.fault};desc={each.effect.type};dur={1000 * each.delay_s:.1f}" for each in acted]
            added = {b"x-chaos-fault": ", ".join(each.fault for each in acted), b"server-timing": ", ".join(timing)}
            headers = [(name, value.encode()) for name, value in added.items() if value]
            message = {**message, "headers": [*message.get("headers", ()), *headers]}
        await send(message)

    return marking
