"""Send the body slowly."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.effects.base import RequestEffect, Tools
from chaosapi.models import Integer

_BEATS = 10
"""Pieces a second: often enough to look like a slow line, seldom enough to cost little."""


class Throttle(RequestEffect):
    """Send the body at so many bytes per second and no faster, a streamed one too; the headers come at once."""

    type: Literal["throttle"] = "throttle"
    bytes_per_second: Annotated[Integer, Field(ge=1, le=1_000_000_000)]
    """How fast."""

    holds: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = "how long a throttled answer takes depends on its size"
    example: ClassVar[dict[str, Any]] = {"type": "throttle", "bytes_per_second": 1000}

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Let the app answer, and hand on what it sends piece by piece."""
        piece = max(1, self.bytes_per_second // _BEATS)

        async def slowed(message: Message) -> None:
            body = message.get("body", b"")
            begun = tools.now()
            sent = 0
            while sent + piece < len(body):
                await tools.sleep((sent + piece) / self.bytes_per_second, begun)
                if not tools.acting():
                    break  # the rest goes at once
                await send({**message, "body": body[sent : sent + piece], "more_body": True})
                sent += piece
            if body:
                await tools.sleep(len(body) / self.bytes_per_second, begun)
                message = {**message, "body": body[sent:]}
            await send(message)

        await app(scope, receive, slowed)
