"""The messages of an ASGI response. It ends with its last byte, while the app may go on with background tasks."""

from typing import Final

from starlette.types import Message

_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_FILE_PART: Final = "http.response.zerocopysend"
_FILE: Final = "http.response.pathsend"
_TRAILERS: Final = "http.response.trailers"
WITHOUT_BODY: Final = (204, 304)
"""The statuses of responses that never have a body (RFC 9110, section 6.4.1)."""


def is_start(message: Message) -> bool:
    """Return whether the message has the status and the headers."""
    return bool(message["type"] == _START)


def is_last(message: Message) -> bool:
    """Return whether the message completes the body; of the ASGI extensions, pathsend has a whole file."""
    if message["type"] in (_BODY, _FILE_PART):
        return not message.get("more_body", False)
    return bool(message["type"] == _FILE)


def has_body(method: str, status: int) -> bool:
    """Return whether a server sends a body with this status in response to the method (RFC 9110, section 6.4.1)."""
    return method != "HEAD" and status not in WITHOUT_BODY


def declared_length(start: Message) -> int | None:
    """Return the Content-Length; None where the app declares none, as for most streams, or no number."""
    length = next((value for name, value in start.get("headers", ()) if name.lower() == b"content-length"), b"")
    return int(length) if length.isdigit() else None


class ResponseProgress:
    """Follows the messages of one response until the client has all of it."""

    complete = False
    """Whether the last byte was sent."""
    _missing: int | None = None
    """Bytes of the body that are to come, below 0 for an unknown length; None until a part of the body was sent."""
    _trailers = False

    def __init__(self, method: str) -> None:
        self.method = method
        self._start: Message = {}

    def observe(self, message: Message) -> None:
        """Take a message that was sent."""
        kind = message["type"]
        if kind == _BODY:
            if not message.get("more_body", False) or self._reaches_length(len(message.get("body", b""))):
                self.complete = not self._trailers
        elif kind == _START:
            self._start = message
            if message.get("trailers", False):
                self._trailers = True
            elif not has_body(self.method, message["status"]):
                self.complete = True
        elif kind == _FILE_PART:
            if not message.get("more_body", False) or self._reaches_length(message.get("count") or 0):
                self.complete = not self._trailers
        elif kind == _FILE:
            self.complete = not self._trailers
        elif kind == _TRAILERS:
            self.complete = not message.get("more_trailers", False)

    def _reaches_length(self, size: int) -> bool:
        """Return whether the body reaches its declared length with `size` more bytes."""
        if self._missing is None:
            length = declared_length(self._start)
            self._missing = -1 if length is None else length
        self._missing -= size
        return self._missing == 0
