"""Raise an exception in the app."""

from collections.abc import Awaitable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.effects.base import RequestEffect, Tools

_KEY = "chaosapi.exception"


class InjectedError(RuntimeError):
    """What the effect raises."""


class AppException(RequestEffect):
    """Raise an exception inside the app: its own 500 answers, and its traceback stands in the log."""

    type: Literal["exception"] = "exception"
    message: Annotated[str, Field(max_length=500)] = "something went wrong"
    """The exception's text."""

    ends_request: ClassVar[bool] = True
    at_points: ClassVar[bool] = True
    example: ClassVar[dict[str, Any]] = {"type": "exception", "message": "connection pool exhausted"}

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:  # noqa: ARG002 - the contract
        """Leave word for `Raise`, which stands inside the app's error handling."""
        await app({**scope, _KEY: self.message}, receive, send)


class Raise:
    """Pure ASGI, to be added to the app as its innermost middleware: raises what the effect left word of."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Raise InjectedError, or pass the request on."""
        if _KEY in scope:
            raise InjectedError(scope[_KEY])
        return self.app(scope, receive, send)
