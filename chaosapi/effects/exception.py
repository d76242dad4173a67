"""Raise an exception in the app."""

from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.effects.base import Ending, RequestEffect, Tools
from chaosapi.scope import EXCEPTION


class AppException(RequestEffect):
    """Raise an exception inside the app: the app answers with its own 500 and logs the traceback."""

    type: Literal["exception"] = "exception"
    message: Annotated[str, Field(max_length=500)] = "something went wrong"
    """The exception's text."""

    ends_request: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    shorthand: ClassVar[str | None] = "message"
    example: ClassVar[dict[str, Any]] = {"type": "exception", "message": "connection pool exhausted"}

    def endings(self) -> Sequence[Ending]:
        """Return the app's own 500."""
        return [Ending(500)]

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Put the message into the scope, where the middleware `Raise`, inside the app's error handling, finds it."""
        await app({**scope, EXCEPTION: self.message}, receive, send)
