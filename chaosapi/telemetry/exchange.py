"""One request and its response, between the server and the app: what the client got, and when it had all of it."""

from collections.abc import Callable
from typing import Final, TypeAlias

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi.injection.connection import connection_of
from chaosapi.response import WITHOUT_BODY, ResponseProgress
from chaosapi.routes import STATUS_CLOSED

ID_HEADER: Final = b"x-request-id"
_ID_LENGTH: Final = len(ID_HEADER)
_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_CLOSE: Final = (b"connection", b"close")
_UNANSWERED: Final = "500"
"""The status that servers send where the app ends without a response."""

Header: TypeAlias = tuple[bytes, bytes]
OnBegin: TypeAlias = Callable[[str, float], None]
"""Takes the status, and the seconds from the request's arrival to the first byte of the body."""
OnEnd: TypeAlias = Callable[[str, float, bool, bool], None]
"""Takes the status that the client saw, the seconds since the request arrived, whether the answer is whole, and whether
its first byte was reported before."""


async def exchange(  # noqa: C901, PLR0913, PLR0915, PLR0917 - every request needs this: a class, or keywords, would take longer
    app: ASGIApp,
    scope: Scope,
    receive: Receive,
    send: Send,
    request_id: Header,
    expects_continue: bool,  # noqa: FBT001 - as above
    clock: Callable[[], float],
    on_begin: OnBegin,
    on_end: OnEnd,
) -> None:
    """Let the app answer, with the request id in the headers of the response.

    Call `on_begin` when the client has the first byte of the body, but not the last. Call `on_end` once, when the
    client has the whole response or never will. What the app does afterwards, such as background tasks, is not part of
    the exchange.
    """
    arrived = clock()
    method = scope["method"]
    transport = getattr(getattr(send, "__self__", None), "transport", None)
    start: Message | None = None  # of the response, unless the client had disconnected
    progress: ResponseProgress | None = None  # of a response that is streamed, has trailers, or has no body
    left = False
    begun = False
    complete = False

    async def receive_and_notice() -> Message:
        nonlocal left
        message = await receive()
        if message["type"] == "http.disconnect":
            left = True
        return message

    async def send_and_follow(message: Message) -> None:
        nonlocal start, progress, left, begun, complete
        if complete:
            await send(message)
            return
        # Under uvicorn this suffices while the connection is open and is read.
        if transport is None or transport.is_closing() or not transport.is_reading():
            left = left or connection_of(send).closed()
        kind = message["type"]
        if kind == _START:
            await send(_with_id(message, request_id, send if expects_continue else None))
            if not left:
                start = message
            if message["status"] in WITHOUT_BODY or method == "HEAD" or "trailers" in message:
                progress = _progress(method, message)
                complete = progress.complete
        else:
            await send(message)
            if progress is None and kind == _BODY and not message.get("more_body", False):
                complete = True
            else:
                progress = progress or _progress(method, start)
                progress.observe(message)
                complete = progress.complete
                if not (begun or complete) and (message.get("body") or kind != _BODY):
                    begun = True
                    on_begin(_status(start), clock() - arrived)
        if complete:
            on_end(_status(start), clock() - arrived, not left, begun)

    try:
        await app(scope, receive_and_notice if transport is None else receive, send_and_follow)
    finally:
        if not complete:
            connection = connection_of(send)
            if start or left or connection.closed() or connection.started():
                on_end(_status(start), clock() - arrived, False, begun)
            else:
                on_end(_UNANSWERED, clock() - arrived, True, begun)


def identified(send: Send, request_id: Header, expects_continue: bool) -> Send:  # noqa: FBT001 - as above
    """Return a `send` that adds the request id to the response, and does not follow it."""

    async def send_with_id(message: Message) -> None:
        if message["type"] == _START:
            message = _with_id(message, request_id, send if expects_continue else None)
        await send(message)

    return send_with_id


def _with_id(message: Message, request_id: Header, asking: Send | None = None) -> Message:
    """Add the request id to the start of a response, unless the app has.

    `asking` is the server's `send` where the client expects 100 Continue: the response closes the connection where the
    client may or may not send the body.
    """
    headers = [*message.get("headers", ())]
    for name, _ in headers:
        if len(name) == _ID_LENGTH and name.lower() == ID_HEADER:
            break
    else:
        headers.append(request_id)
    if asking and connection_of(asking).awaits_continue():
        headers.append(_CLOSE)
    return {**message, "headers": headers}


def _progress(method: str, start: Message | None) -> ResponseProgress:
    progress = ResponseProgress(method)
    if start:
        progress.observe(start)
    return progress


def _status(start: Message | None) -> str:
    return str(start["status"]) if start else STATUS_CLOSED
