"""Send the body slowly."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.effects.base import RequestEffect, Tools
from chaosapi.models import Integer
from chaosapi.response import has_body, is_start

_CHUNKS_PER_SECOND = 10
"""Chunks a second: enough to look like a slow network, few enough to cost little."""


class Throttle(RequestEffect):
    """Limit the bandwidth of the response body, streamed or not; the headers are sent at once."""

    type: Literal["throttle"] = "throttle"
    bytes_per_second: Annotated[Integer, Field(ge=1, le=1_000_000_000)]
    """The bandwidth for the body of each response."""

    counts_itself: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = "how long a throttled answer takes depends on its size"
    shorthand: ClassVar[str | None] = "bytes_per_second"
    example: ClassVar[dict[str, Any]] = {"type": "throttle", "bytes_per_second": 1000}

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Call the app and send its body in small chunks."""
        chunk = max(1, self.bytes_per_second // _CHUNKS_PER_SECOND)

        reason = "empty_body"

        async def slowed(message: Message) -> None:
            nonlocal reason
            if is_start(message) and not has_body(scope["method"], message["status"]):
                reason = "no_body"
            body = message.get("body", b"")
            if not body or reason == "no_body" or not tools.hold():
                await send(message)
                return
            started = tools.now()
            sent = 0
            while sent + chunk < len(body):
                await tools.sleep((sent + chunk) / self.bytes_per_second, started)
                if not tools.acting():
                    break  # send the rest at once
                await send({**message, "body": body[sent : sent + chunk], "more_body": True})
                sent += chunk
            await tools.sleep(len(body) / self.bytes_per_second, started)
            tools.release()
            await send({**message, "body": body[sent:]})

        await app(scope, receive, slowed)
        tools.count_skipped(reason)
