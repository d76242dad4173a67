"""What a browser may send and how many pages may be open."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST: Final = 1_000_000
"""Bytes of a request's body and of a message over a web socket."""
_OPEN: Final = 100
"""Pages that may be open."""
_AWAITED: Final = 20
"""Pages that were built and to which no browser has connected yet."""


class BodyLimit:
    """Pure ASGI around a Starlette app: refuses a larger body, by its declared length or while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with a body that is counted."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        length = Headers(scope=scope).get("content-length", "0")
        trouble = f"at most {LARGEST} bytes"
        if not length.isdecimal() or int(length) > LARGEST:
            await PlainTextResponse(trouble, 413)(scope, receive, send)
            return
        left = LARGEST

        async def counted() -> Message:
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                raise HTTPException(413, trouble)
            return message

        await self._app(scope, counted, send)


class BuiltPage(Protocol):
    """A page that was built."""

    def delete(self) -> None:
        """Forget it."""


def drop_abandoned_page(built: Mapping[str, BuiltPage], connected: Collection[object]) -> bool:
    """Return whether another page may be built; those that have waited longest for a browser make room.

    `built` has all pages by id, oldest first, `connected` the ids of those to which a browser has come.
    """
    awaited = [page for number, page in built.items() if number not in connected]
    for page in awaited[: max(0, len(awaited) - _AWAITED + 1)]:
        page.delete()
    return len(connected) < _OPEN
