"""The places inside an app's own middleware at which faults answer."""

from collections.abc import Awaitable, Callable
from typing import Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.scope import INNER

Place = Literal["middleware", "handlers"]
"""Inside the app's own middleware, or also inside its exception handlers, around its router."""


def _never(_: Scope) -> bool:
    return False


class Inner:
    """An inner middleware of an app, pure ASGI: lets the effect that the scope carries act here.

    So an injected error passes the app's middleware, which adds its CORS headers, and an injected exception is handled
    by the app's exception handlers.
    """

    def __init__(self, app: ASGIApp, place: Place | None = None, leads_on: Callable[[Scope], bool] = _never) -> None:
        """`place` is None where the app has neither middleware nor handlers: all effects act here.

        `leads_on` returns whether another `Inner`, of a mounted app, answers the request.
        """
        self.app = app
        self._place = place
        self._leads_on = leads_on

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Inject the effect, or pass the request on."""
        if INNER not in scope:
            return self.app(scope, receive, send)
        place, inject = scope[INNER]
        if self._place not in {None, place} or self._leads_on(scope):
            return self.app(scope, receive, send)
        del scope[INNER]
        acting: Awaitable[None] = inject(self.app, scope, receive, send)
        return acting
