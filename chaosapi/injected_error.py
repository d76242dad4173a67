"""The exception that a fault raises in the app, and the middleware that raises it."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.scope import EXCEPTION


class InjectedError(RuntimeError):
    """Raised by the effect `exception`."""


class Raise:
    """The app's innermost middleware, pure ASGI: raises the exception that the effect put into the scope."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Raise InjectedError, or pass the request on."""
        if EXCEPTION in scope:
            raise InjectedError(scope[EXCEPTION])
        return self.app(scope, receive, send)
