"""The progress of an ASGI response: it ends with its last byte, while the app may go on with background tasks."""

from collections.abc import Iterable
from typing import Final

from starlette.types import Message

_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_FILE_PART: Final = "http.response.zerocopysend"
_FILE: Final = "http.response.pathsend"
_TRAILERS: Final = "http.response.trailers"
_WITHOUT_BODY: Final = {204, 304}


class ResponseProgress:
    """Follows the messages of one response until the client has all of it."""

    __slots__ = ("_headers", "_left", "_method", "_trailers", "complete")

    def __init__(self, method: str) -> None:
        self.complete = False
        """Whether the last byte was sent."""
        self._method = method
        self._headers: Iterable[tuple[bytes, bytes]] = ()
        self._left: int | None = None
        """Bytes of the body that are to come; None until a part of the body was sent."""
        self._trailers = False

    def observe(self, message: Message) -> None:
        """Take a message that was sent."""
        kind = message["type"]
        if kind in {_BODY, _FILE_PART}:
            self.complete = self.complete or not (self._trailers or self._expects_more(message))
        elif kind == _START:
            self._headers = message.get("headers", ())
            self._trailers = message.get("trailers", False)
            self.complete = not self._trailers and (self._method == "HEAD" or message["status"] in _WITHOUT_BODY)
        elif kind == _FILE:
            self.complete = not self._trailers
        elif kind == _TRAILERS:
            self.complete = not message.get("more_trailers", False)

    def _expects_more(self, message: Message) -> bool:
        if not message.get("more_body", False):
            return False
        if self._left is None:
            self._left = _declared_length(self._headers)
        self._left -= len(message.get("body", b"")) if message["type"] == _BODY else message.get("count") or 0
        return self._left != 0


def _declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the content-length, or -1 where there is none: such a body ends with its last message."""
    length = next((value for name, value in headers if name.lower() == b"content-length"), b"")
    return int(length) if length.isdigit() else -1
