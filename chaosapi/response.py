"""The progress of an ASGI response: it ends with its last byte, while the app may go on with background tasks."""

from collections.abc import Iterable
from typing import Final

from starlette.types import Message

_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_FILE_PART: Final = "http.response.zerocopysend"
_FILE: Final = "http.response.pathsend"
_TRAILERS: Final = "http.response.trailers"
WITHOUT_BODY: Final = (204, 304)
"""The statuses of responses that never have a body (RFC 9110, section 6.4.1)."""


class ResponseProgress:
    """Follows the messages of one response until the client has all of it."""

    complete = False
    """Whether the last byte was sent."""
    _headers: Iterable[tuple[bytes, bytes]] = ()
    _missing: int | None = None
    """Bytes of the body that are to come; None until a part of the body was sent."""
    _trailers = False

    def __init__(self, method: str) -> None:
        self.method = method

    def observe(self, message: Message) -> None:
        """Take a message that was sent."""
        kind = message["type"]
        if kind == _BODY:
            if not message.get("more_body", False) or self._reaches_length(len(message.get("body", b""))):
                self.complete = not self._trailers
        elif kind == _START:
            self._headers = message.get("headers", ())
            if message.get("trailers", False):
                self._trailers = True
            elif self.method == "HEAD" or message["status"] in WITHOUT_BODY:
                self.complete = True
        elif kind == _FILE_PART:
            if not message.get("more_body", False) or self._reaches_length(message.get("count") or 0):
                self.complete = not self._trailers
        elif kind == _FILE:
            self.complete = not self._trailers
        elif kind == _TRAILERS:
            self.complete = not message.get("more_trailers", False)

    def _reaches_length(self, size: int) -> bool:
        """Return whether the body reaches its declared length with so many more bytes."""
        if self._missing is None:
            self._missing = _declared_length(self._headers)
        self._missing -= size
        return self._missing == 0


def _declared_length(headers: Iterable[tuple[bytes, bytes]]) -> int:
    """Return the content-length, or -1 where there is none: such a body ends with its last message."""
    length = next((value for name, value in headers if name.lower() == b"content-length"), b"")
    return int(length) if length.isdigit() else -1
