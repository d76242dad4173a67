"""Send only the beginning of the body."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.effects.base import RequestEffect, Tools
from chaosapi.models import Integer, Number
from chaosapi.response import declared_length, has_body, is_start


class Truncate(RequestEffect):
    """Send the headers and the beginning of the body, then close the connection: fewer bytes than Content-Length.

    An empty body is left as it is.
    """

    type: Literal["truncate"] = "truncate"
    keep: Annotated[Number, Field(ge=0, lt=1)] = 0.5
    """The share of the body that arrives, rounded down to whole bytes; of a stream without Content-Length, the share
    of its first chunk."""
    keep_bytes: Annotated[Integer, Field(ge=0, le=2**40)] | None = None
    """Instead of `keep`, how many bytes arrive, of any body; a shorter one arrives whole and counts as skipped."""

    counts_itself: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    damages_body: ClassVar[bool] = True
    shorthand: ClassVar[str | None] = "keep"
    example: ClassVar[dict[str, Any]] = {"type": "truncate", "keep": 0.5}

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Call the app and cut the body that it sends."""
        left = self.keep_bytes
        cut = False
        reason = "empty_body" if tools.can_drop else "no_connection"

        async def shortened(message: Message) -> None:
            nonlocal left, cut, reason
            if cut:
                return
            if tools.over():
                reason = "ended"
            if is_start(message):
                length = declared_length(message)
                if not has_body(scope["method"], message["status"]):
                    reason = "no_body"
                elif length and reason == "empty_body" and (left is None or left < length):
                    left = int(length * self.keep) if left is None else left
                    tools.count_injected()
            body = message.get("body", b"")
            if not body or reason in ("ended", "no_body", "no_connection"):
                await send(message)
                return
            left = int(len(body) * self.keep) if left is None else left
            if len(body) <= left and (message.get("more_body", False) or self.keep_bytes is not None):
                left -= len(body)
                reason = "short_body"
                await send(message)
                return
            cut = True
            tools.count_injected()
            await send({**message, "body": body[:left], "more_body": True})
            tools.drop(reset=False)

        await app(scope, receive, shortened)
        tools.count_skipped(reason)
