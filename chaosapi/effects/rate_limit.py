"""Limit the rate of requests."""

import math
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
        """Take a token and return 0, or return the seconds until the next token.

        `now` is in seconds, `rate` in tokens a second, and `burst` is the size of the bucket, which starts full.
        """
        self.tokens = min(burst, self.tokens + (now - self.counted_at) * rate)
        self.counted_at = now
        if self.tokens < 1:
            return (1 - self.tokens) / rate
        self.tokens -= 1
        return 0.0


class RateLimit(RequestEffect):
    """Refuse requests beyond a rate with 429 and `Retry-After`, as an API gateway does: a token bucket per replica.

    In the receipt, `injected` counts the refused requests. The limit is applied before other effects, which never see
    a refused request.
    """

    type: Literal["rate_limit"] = "rate_limit"
    requests_per_second: Annotated[Number, Field(ge=0.001, le=1_000_000)]
    """How many requests per second each replica accepts."""
    burst: Annotated[Integer, Field(ge=1, le=1_000_000)] | None = None
    """How many requests are accepted at once after a quiet time; unless given, as many as in one second."""

    gate: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = DEPENDS_ON_LOAD
    counts_itself: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    shorthand: ClassVar[str | None] = "requests_per_second"
    example: ClassVar[dict[str, Any]] = {"type": "rate_limit", "requests_per_second": 5, "burst": 10}

    def remember(self, former: Any = None) -> Bucket:
        """Return a full bucket, or the former one: a changed limit does not refill it."""
        return former or Bucket()

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Pass the request on for a token; otherwise refuse it, with the seconds until the next token, rounded up."""
        bucket: Bucket = tools.memory
        burst = self.burst or math.ceil(self.requests_per_second)
        wait = bucket.take(tools.now(), self.requests_per_second, burst)
        if wait > 0:
            app = tools.instead(Error(status=429, retry_after=wait))
        await app(scope, receive, send)
