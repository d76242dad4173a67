"""The middleware between the server and the app: choose the faults that hit a request, inject, count."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.effects.base import Occupancy
from chaosapi.injection import dependencies
from chaosapi.injection.connection import Connection, Droppable, connection_of
from chaosapi.injection.context import (
    Details,
    EffectContext,
    HeldRequests,
    Hold,
    Queue,
    hold,
    mark_response,
    no_details,
)
from chaosapi.injection.disconnect import DisconnectWatcher
from chaosapi.injection.engine import Engine, Hit

Meter = Callable[[str, str], Occupancy]
"""Returns what meters the queue of a dependency, or of a route where the dependency's name is empty."""


class FaultMiddleware:
    """Pure ASGI. `TelemetryMiddleware` sends requests of routes at which no fault acts around it.

    Of the faults that hit a request, gates act first; then those that only shape it (delays, damage), around the one
    that answers it. Of several faults that would answer, the oldest does; the others count the request as skipped.
    """

    def __init__(  # noqa: PLR0913 - each is optional and has one meaning
        self,
        app: ASGIApp,
        engine: Engine,
        *,
        meter: Meter,
        held: HeldRequests | None = None,
        mark: bool = False,
        clock: Callable[[], float] = time.perf_counter,
        hold: Hold = hold,
        details: Details = no_details,
    ) -> None:
        """`meter` is called with a route and the name of a dependency, empty for the queue in front of the service."""
        self.app = app
        self.engine = engine
        self._meter = meter
        self._held = HeldRequests() if held is None else held
        self._mark = mark
        self._clock = clock
        self._hold = hold
        self._details = details

    @property
    def held(self) -> int:
        """Return how many requests effects hold now."""
        return len(self._held)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Inject the faults that hit the request, or pass it on."""
        engine = self.engine
        server_send = scope.pop(keys.SEND, send)
        handler = scope.get(keys.HANDLER)
        if handler not in engine.touched:
            return self.app(scope, receive, send)
        hits = engine.roll(scope, handler, scope[keys.REQUEST_ID])
        if not hits and handler not in engine.routes_with_points:
            return self.app(scope, receive, send)
        return self._serve_hit(hits, connection_of(server_send), scope, receive, send)

    async def _serve_hit(
        self, hits: list[Hit], carrier: Connection, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Serve a request that faults hit, or may hit at a point."""
        done: list[EffectContext] = []
        if self._mark:
            send = mark_response(send, done)
        if scope[keys.HANDLER] not in self.engine.routes_with_points:
            await self._inject(hits, done, carrier, carrier, self.app, scope, receive, send)
            return
        inject = partial(self._inject_at_point, scope, carrier, Counter(), done)
        gate_token = dependencies.current_gate.set(dependencies.Gate(inject, asyncio.get_running_loop()))
        try:
            await self._inject(hits, done, carrier, carrier, self.app, scope, receive, send)
        finally:
            dependencies.current_gate.reset(gate_token)

    def _inject_at_point(
        self,
        scope: Scope,
        carrier: Connection,
        calls: Counter[str],
        done: list[EffectContext],
        point: str,
        call: dependencies.DependencyCall,
    ) -> Coroutine[Any, Any, None] | None:
        """Return a coroutine that injects faults into a call at the point: each call, also a retry, rolls the dice."""
        calls[point] += 1
        key = f"{scope[keys.REQUEST_ID]}/{point}/{calls[point]}"
        hits = self.engine.roll_point(point, scope, scope[keys.HANDLER], key)
        if not hits:
            return None
        return self._inject(hits, done, carrier, call, call.app, dict(scope), call.receive, call.send)

    async def _inject(  # noqa: PLR0913, PLR0917 - a parameter object would cost an allocation
        self,
        hits: list[Hit],
        done: list[EffectContext],
        carrier: Connection,
        target: Droppable,
        app: ASGIApp,
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> None:
        """Nest the effects around the app, in the order in which they act.

        `carrier` reports disconnects; `target` is what effects may close.
        """
        acting = self._order(hits)
        if not acting:
            await app(scope, receive, send)
            return
        watcher = DisconnectWatcher(receive, carrier.lost)
        route = scope[keys.HANDLER]
        dependency = target.point if isinstance(target, dependencies.DependencyCall) else ""
        queue = Queue(route, dependency, self._meter(route, dependency))
        contexts = [
            EffectContext(app, hit, watcher, target, self._held, self._clock, self._hold, queue, self._details)
            for hit in acting
        ]
        done += contexts
        for context in reversed(contexts):
            app = context.around(app)
        try:
            await app(scope, watcher.receive, ignore_disconnect(send, carrier))
        finally:
            watcher.close()
            for context in contexts:
                context.close()

    def _order(self, hits: list[Hit]) -> list[Hit]:
        gates: list[Hit] = []
        shaping: list[Hit] = []
        answering: list[Hit] = []
        for hit in hits:
            if hit.effect.gate:
                gates.append(hit)
            elif not hit.effect.ends_request:
                shaping.append(hit)
            elif not answering:
                answering.append(hit)
            else:
                hit.fault.counts.skipped["preempted"] += 1
        shaping.sort(key=_by_damage)
        return gates + shaping + answering


def _by_damage(hit: Hit) -> bool:
    """Return the key that puts damage around delays, so that a response which is cut is delayed as well."""
    return not hit.effect.damages_body


def ignore_disconnect(send: Send, carrier: Connection) -> Send:
    """Return a `send` that ignores a disconnect.

    uvicorn discards messages to a client that has disconnected, but it does not notice the disconnect for some of
    several pipelined requests, and uvloop refuses to write to a closed connection.
    """

    async def tolerant(message: Message) -> None:
        try:
            await send(message)
        except RuntimeError:
            if not carrier.lost():
                raise

    return tolerant
