"""A newline after JSON, so that a terminal shows its prompt on a line of its own after `curl`."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.response import declared_length, has_body, is_last, is_start


class NewlineMiddleware:
    """Pure ASGI middleware that ends JSON bodies with a newline; a response to HEAD declares it too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        await self.app(scope, receive, _sending(scope["method"], send) if scope["type"] == "http" else send)


def _sending(method: str, send: Send) -> Send:
    appends = False

    async def sending(message: Message) -> None:
        nonlocal appends
        if is_start(message) and _is_json(message) and has_body("GET", message["status"]):
            appends = has_body(method, message["status"])
            message = _longer(message)
        elif appends and is_last(message) and message["type"] == "http.response.body":
            message = {**message, "body": message.get("body", b"") + b"\n"}
        await send(message)

    return sending


def _is_json(start: Message) -> bool:
    kinds = (value for name, value in start.get("headers", ()) if name.lower() == b"content-type")
    return next(kinds, b"").partition(b";")[0].endswith((b"/json", b"+json"))


def _longer(start: Message) -> Message:
    """Return the start of the response with one byte more in its Content-Length."""
    length = declared_length(start)
    if length is None:
        return start
    others = [(name, value) for name, value in start["headers"] if name.lower() != b"content-length"]
    return {**start, "headers": [*others, (b"content-length", b"%d" % (length + 1))]}
