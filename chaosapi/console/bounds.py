"""Limits on the size of requests and on the number of open pages."""

from collections.abc import Collection, Mapping
from typing import Final, Protocol

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LARGEST: Final = 1_000_000
"""Bytes of a request's body, and of a message over a web socket."""
_MAX_OPEN: Final = 100
_MAX_UNCONNECTED: Final = 20
"""Pages that were built, and to which no browser has connected yet."""


class BodyLimit:
    """Pure ASGI around a Starlette app: refuses a body above `LARGEST`, by its Content-Length or while it is read."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
    """A page that NiceGUI has built."""

    def delete(self) -> None:
        """Remove the page from NiceGUI."""


def drop_abandoned_page(built: Mapping[str, BuiltPage], connected: Collection[object]) -> bool:
    """Return whether another page may be built; delete the oldest unconnected pages above `_MAX_UNCONNECTED`.

    `built` has all pages by id, oldest first, `connected` the ids of the pages to which a browser has connected.
    """
    unconnected = [page for number, page in built.items() if number not in connected]
    for page in unconnected[: max(0, len(unconnected) - _MAX_UNCONNECTED + 1)]:
        page.delete()
    return len(connected) < _MAX_OPEN
