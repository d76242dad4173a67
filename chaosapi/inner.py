"""The middleware that lets faults answer inside an app's own middleware."""

from collections.abc import Awaitable, Callable
from typing import Literal

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.scope import INNER

Place = Literal["middleware", "handlers"]
"""Inside the app's own middleware, or also inside its exception handlers, around its router."""


def _never(_: Scope) -> bool:
    return False


class InnerMiddleware:
    """Pure ASGI middleware inside an app's own: lets the effect act that the scope has under the key INNER.

    So the app's own middleware adds its CORS headers to an injected error, and the app's exception handlers answer an
    injected exception.
    """

    def __init__(
        self, app: ASGIApp, place: Place | None = None, mount_answers: Callable[[Scope], bool] = _never
    ) -> None:
        """`place` is None where the app has neither middleware nor handlers: all effects act here.

        `mount_answers` returns whether another `InnerMiddleware`, of a mounted app, answers the request.
        """
        self.app = app
        self._place = place
        self._mount_answers = mount_answers

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Inject the effect, or pass the request on."""
        if INNER not in scope:
            return self.app(scope, receive, send)
        place, inject = scope[INNER]
        if self._place not in {None, place} or self._mount_answers(scope):
            return self.app(scope, receive, send)
        del scope[INNER]
        acting: Awaitable[None] = inject(self.app, scope, receive, send)
        return acting
