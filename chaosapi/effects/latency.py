"""Delay the request."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi import durations
from chaosapi.durations import Duration
from chaosapi.effects.base import Delay, RequestEffect, Tools
from chaosapi.effects.distributions import Distribution
from chaosapi.response import declared_length, is_last, is_start


class Latency(RequestEffect):
    """Delay the request by a time drawn from a distribution."""

    type: Literal["latency"] = "latency"
    distribution: Distribution
    """The distribution of the delays."""
    mode: Literal["add", "floor"] = "add"
    """`add` waits before calling the app; `floor` makes the whole response take at least the delay: one in one piece
    is held back, of a stream the end is."""
    cap: Annotated[Duration, Field(gt=0)] = 30.0
    """The longest delay."""

    counts_itself: ClassVar[bool] = True
    scalable: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    shorthand: ClassVar[str | None] = "distribution.value"
    example: ClassVar[dict[str, Any]] = {
        "type": "latency",
        "distribution": {"type": "lognormal", "median": "120ms", "p99": "900ms"},
        "mode": "add",
        "cap": "30s",
    }

    @model_validator(mode="after")
    def _check_cap(self) -> Self:
        shortest = self.distribution.sample(0)
        if shortest > self.cap:
            raise PydanticCustomError(
                "cap",
                "the shortest delay ({shortest}) is longer than the cap ({cap}): raise `cap`, or lower the delays; "
                'a number without a unit is in seconds, so write "300ms" for milliseconds',
                {"shortest": durations.format(shortest), "cap": durations.format(self.cap)},
            )
        return self

    def delay(self) -> Delay:
        """Return the distribution with its cap."""
        return Delay(self.distribution, self.cap, pads=self.mode == "floor")

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Wait, then call the app; with `floor`, call the app and hold the last part of its response."""
        delay = min(self.distribution.sample(tools.draw) * tools.magnitude, self.cap)
        if self.mode == "floor":
            await self._pad(delay, app, scope, receive, send, tools)
            return
        if tools.hold():
            await tools.wait(delay)
        await app(scope, receive, send)

    async def _pad(self, delay: float, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        start: Message | None = None
        """Kept until it is known whether the body comes in one piece."""

        async def padded(message: Message) -> None:
            nonlocal start
            if is_start(message) and declared_length(message) is not None:
                start = message
                return
            if is_last(message):
                if tools.hold():
                    await tools.wait(delay, since=tools.arrived)
            elif not tools.over():
                tools.count_injected()
            if start is not None:
                await send(start)
                start = None
            await send(message)

        try:
            await app(scope, receive, padded)
        finally:
            if start is not None:
                await send(start)
