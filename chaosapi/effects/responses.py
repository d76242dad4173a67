"""Helpers of effects for the messages of a response."""

from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.types import Message, Scope

_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)


def is_start(message: Message) -> bool:
    """Return whether the message has the status and the headers."""
    return bool(message["type"] == "http.response.start")


def is_last(message: Message) -> bool:
    """Return whether the message completes the body; ASGI extensions send a whole file as one message."""
    if message["type"] == "http.response.body":
        return not message.get("more_body", False)
    return message["type"] in ("http.response.pathsend", "http.response.zerocopysend")


def has_body(scope: Scope, start: Message) -> bool:
    """Return whether the server sends a body at all (RFC 9110, section 6.4.1): none for HEAD, 204 and 304."""
    return scope["method"] != "HEAD" and start["status"] not in _WITHOUT_BODY


def declared_length(start: Message) -> int | None:
    """Return the Content-Length; None where the app does not know the length, as for most streams."""
    length = Headers(raw=start["headers"]).get("content-length")
    return int(length) if length else None
