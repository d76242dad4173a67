"""The place inside an app's own middleware at which faults answer."""

from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.scope import INNER

InjectInside = Callable[[ASGIApp, Scope, Receive, Send], Awaitable[None]]
"""Acts on one request, which the app given first would answer otherwise."""


def _never(_: Scope) -> bool:
    return False


class Inner:
    """The innermost middleware of an app, pure ASGI: lets the effect that the scope carries act there.

    So an injected error passes the app's middleware, which adds its CORS headers, and an injected exception is handled
    by the app's exception handlers.
    """

    def __init__(self, app: ASGIApp, leads_on: Callable[[Scope], bool] = _never) -> None:
        """`leads_on` returns whether another `Inner`, of a mounted app, answers the request."""
        self.app = app
        self._leads_on = leads_on

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Inject the effect, or pass the request on."""
        if INNER not in scope or self._leads_on(scope):
            return self.app(scope, receive, send)
        inject: InjectInside = scope.pop(INNER)
        return inject(self.app, scope, receive, send)
