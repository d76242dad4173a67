"""Hold the connection without a response."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.durations import Duration
from chaosapi.effects.base import Ending, RequestEffect, Tools


class Hang(RequestEffect):
    """Never answer: hold the connection open until the client disconnects, `at_most` has passed or the fault ends."""

    type: Literal["hang"] = "hang"
    at_most: Annotated[Duration, Field(gt=0)] = 60.0
    """How long the connection is held before it is closed without a response."""

    ends_request: ClassVar[bool] = True
    counts_itself: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    shorthand: ClassVar[str | None] = "at_most"
    example: ClassVar[dict[str, Any]] = {"type": "hang", "at_most": "1m"}

    def endings(self) -> Sequence[Ending]:
        """Return the connection that is closed after `at_most`."""
        return [Ending(None, hold_s=self.at_most)]

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Wait for the end of the fault, of the client or of `at_most`, then close the connection."""
        if not tools.can_drop:
            tools.count_skipped("no_connection")
        if not (tools.can_drop and tools.hold()):
            await app(scope, receive, send)
            return
        await tools.wait(self.at_most)
        tools.drop(reset=False)
