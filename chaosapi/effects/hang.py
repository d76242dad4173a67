"""Do not answer."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.durations import Duration
from chaosapi.effects.base import Ending, RequestEffect, Tools


class Hang(RequestEffect):
    """Never answer: hold the connection open until the client leaves, `at_most` has passed or the fault ends."""

    type: Literal["hang"] = "hang"
    at_most: Annotated[Duration, Field(gt=0)] = 60.0
    """When the connection is closed, unanswered, at the latest."""

    ends_request: ClassVar[bool] = True
    holds: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    example: ClassVar[dict[str, Any]] = {"type": "hang", "at_most": "1m"}

    def endings(self) -> Sequence[Ending]:
        """Return the connection that is closed at last."""
        return [Ending(None, hold_s=self.at_most)]

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Wait for whatever comes first, then close the connection."""
        await tools.wait(self.at_most)
        tools.drop(reset=False)
