"""The exception that a fault raises in the app, and the middleware that raises it there."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.scope import EXCEPTION


class InjectedError(RuntimeError):
    """What the effect `exception` raises."""


class Raise:
    """Pure ASGI, to be added to the app as its innermost middleware: raises what the effect left word of."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Raise InjectedError, or pass the request on."""
        if EXCEPTION in scope:
            raise InjectedError(scope[EXCEPTION])
        return self.app(scope, receive, send)
