"""Let through only so many requests a second."""

import math
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.effects.base import DEPENDS_ON_LOAD, RequestEffect, Tools
from chaosapi.effects.error import Error
from chaosapi.models import Integer, Number


class Bucket:
    """A token bucket: it fills at a steady rate, and each request that is let through takes a token."""

    def __init__(self) -> None:
        self.tokens = math.inf
        self.counted_at = 0.0

    def take(self, now: float, rate: float, burst: int) -> float:
        """Take a token and return 0, or return how many seconds pass until there is one.

        `now` is in seconds, `rate` in tokens a second, and `burst` the most that the bucket holds; it starts full.
        """
        self.tokens = min(burst, self.tokens + (now - self.counted_at) * rate)
        self.counted_at = now
        if self.tokens < 1:
            return (1 - self.tokens) / rate
        self.tokens -= 1
        return 0.0


class RateLimit(RequestEffect):
    """Refuse requests beyond a rate with 429 and `Retry-After`, as an API gateway does: a token bucket per replica.

    The receipt's `injected` are the refused ones. It stands before the other effects: those never see what it refuses.
    """

    type: Literal["rate_limit"] = "rate_limit"
    requests_per_second: Annotated[Number, Field(ge=0.001, le=1_000_000)]
    """How many get through, on each replica."""
    burst: Annotated[Integer, Field(ge=1, le=1_000_000)] | None = None
    """How many may come at once after a quiet time; those of one second unless given."""

    gate: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = DEPENDS_ON_LOAD
    picks: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    example: ClassVar[dict[str, Any]] = {"type": "rate_limit", "requests_per_second": 5, "burst": 10}

    def remember(self, former: Any = None) -> Bucket:
        """Make a full bucket, or keep the one there is: a changed limit does not refill it."""
        return former or Bucket()

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Let the request through for a token; else say when there will be one, in whole seconds, rounded up."""
        bucket: Bucket = tools.memory
        burst = self.burst or math.ceil(self.requests_per_second)
        wait = bucket.take(tools.now(), self.requests_per_second, burst)
        if wait > 0:
            tools.count_injected()
            app = partial(Error(status=429, retry_after=wait).inject, app, tools=tools)
        await app(scope, receive, send)
