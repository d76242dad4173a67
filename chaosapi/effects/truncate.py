"""Send only the beginning of the body."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.effects.base import RequestEffect, Tools
from chaosapi.models import Number


class Truncate(RequestEffect):
    """Send the headers and the beginning of the body, then close the connection: fewer bytes than Content-Length.

    A body of unknown length (chunked) is cut within its first chunk; an empty body is left as it is.
    """

    type: Literal["truncate"] = "truncate"
    keep: Annotated[Number, Field(ge=0, lt=1)] = 0.5
    """The share of the body that arrives, rounded down to whole bytes."""

    picks: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    spoils: ClassVar[bool] = True
    shorthand: ClassVar[str | None] = "keep"
    example: ClassVar[dict[str, Any]] = {"type": "truncate", "keep": 0.5}

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Call the app and cut the body that it sends."""
        left: int | None = None
        cut = spared = False

        async def shortened(message: Message) -> None:
            nonlocal left, cut, spared
            if cut:
                return
            spared = spared or tools.over()
            if spared:
                await send(message)
                return
            if message["type"] == "http.response.start":
                length = Headers(raw=message["headers"]).get("content-length")
                left = int(int(length) * self.keep) if length else None
                if length and int(length) and scope["method"] != "HEAD":
                    tools.count_injected()
                await send(message)
                return
            body = message.get("body", b"")
            room = int(len(body) * self.keep) if left is None else left
            if not body or (len(body) <= room and message.get("more_body", False)):
                left = room - len(body) if body else left
                await send(message)
                return
            cut = True
            tools.count_injected()
            await send({**message, "body": body[:room], "more_body": True})
            tools.drop(reset=False)

        await app(scope, receive, shortened)
        if not cut:
            tools.count_skipped("ended" if spared else "empty_body")
