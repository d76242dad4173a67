"""Reset the connection."""

from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.effects.base import Ending, RequestEffect, Tools


class Reset(RequestEffect):
    """Reset the TCP connection instead of answering: the client sees "connection reset by peer" (ECONNRESET)."""

    type: Literal["reset"] = "reset"

    ends_request: ClassVar[bool] = True
    counts_itself: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    example: ClassVar[dict[str, Any]] = {"type": "reset"}

    def endings(self) -> Sequence[Ending]:
        """Return the closed connection."""
        return [Ending(None)]

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Reset the connection before the app sees the request."""
        if tools.can_drop:
            tools.count_injected()
            tools.drop(reset=True)
        else:
            tools.count_skipped("no_connection")
            await app(scope, receive, send)
