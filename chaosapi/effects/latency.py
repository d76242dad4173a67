"""Make the request take longer."""

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.durations import Duration
from chaosapi.effects.base import Delay, RequestEffect, Tools
from chaosapi.effects.distributions import Distribution


class Latency(RequestEffect):
    """Hold the request back by a delay drawn from a distribution, then let it through."""

    type: Literal["latency"] = "latency"
    distribution: Distribution
    """How long."""
    mode: Literal["add", "floor"] = "add"
    """`add` waits before the app; `floor` pads the whole response to at least the delay, so work done counts."""
    cap: Annotated[Duration, Field(gt=0)] = 30.0
    """No delay is longer than this."""

    holds: ClassVar[bool] = True
    scalable: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    example: ClassVar[dict[str, Any]] = {
        "type": "latency",
        "distribution": {"type": "lognormal", "median": "120ms", "p99": "900ms"},
        "mode": "add",
        "cap": "30s",
    }

    @model_validator(mode="after")
    def _reachable(self) -> Self:
        if self.distribution.sample(0) > self.cap:
            raise PydanticCustomError("cap", "every delay would be cut to the cap: raise `cap`, or lower the delays")
        return self

    def delay(self) -> Delay:
        """Return the distribution as it stands."""
        return Delay(self.distribution, self.cap, pads=self.mode == "floor")

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Wait, then call the app; or call it and hold its answer back."""
        delay = min(self.distribution.sample(tools.draw) * tools.magnitude, self.cap)
        if self.mode == "add":
            await tools.wait(delay)
            await app(scope, receive, send)
            return

        async def padded(message: Message) -> None:
            if message["type"] == "http.response.start":
                await tools.wait(delay, since=tools.arrived)
            await send(message)

        await app(scope, receive, padded)
