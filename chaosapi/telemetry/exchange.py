"""One request and its response, between the server and the app: what the client got, and when it had all of it."""

from collections.abc import Callable
from typing import Final

from starlette.types import Message, Receive, Send

from chaosapi.injection.connection import Server, connection_of
from chaosapi.response import WITHOUT_BODY, ResponseProgress
from chaosapi.routes import STATUS_CLOSED

ID_HEADER: Final = b"x-request-id"
_ID_LENGTH: Final = len(ID_HEADER)
_START: Final = "http.response.start"
_BODY: Final = "http.response.body"
_CLOSE: Final = (b"connection", b"close")
_UNANSWERED: Final = "500"
"""The status that servers send where the app ends without a response."""


class Exchange:
    """Adds the request id to the response, and calls `on_end` once, when the client has all of it or never will.

    `on_end` gets the status that the client saw, and whether the response arrived as a whole. What the app does
    afterwards, such as background tasks, is not part of the exchange.
    """

    __slots__ = (
        "_expects_continue",
        "_left",
        "_method",
        "_on_end",
        "_plain",
        "_progress",
        "_receive",
        "_request_id",
        "_send",
        "_server",
        "_start",
        "_status",
        "_transport",
        "complete",
    )

    def __init__(
        self,
        method: str,
        receive: Receive,
        send: Send,
        server: Server,
        request_id: bytes,
        expects_continue: bool,  # noqa: FBT001 - keywords take longer
        on_end: Callable[[str, bool], None] | None,
    ) -> None:
        self.complete = False
        """Whether the last byte of the response was sent."""
        self._method = method
        self._receive = receive
        self._send = send
        self._server = server
        self._transport = getattr(getattr(send, "__self__", None), "transport", None)
        self._request_id = request_id
        self._expects_continue = expects_continue
        self._on_end = on_end
        self._status: str | None = None
        self._left = False
        """Whether the client has disconnected before the end of the response."""
        self._plain = False
        """Whether the response was started and its next message may complete it."""
        self._start: Message | None = None
        self._progress: ResponseProgress | None = None

    async def receive(self) -> Message:
        """Return the next message of the server."""
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        """Pass a message on to the server; every request needs this, so the usual response takes the short way."""
        if self.complete:
            await self._send(message)
            return
        transport = self._transport
        # Under uvicorn this suffices while the connection is open and is read.
        if transport is None or transport.is_closing() or not transport.is_reading():
            self._left = self._left or connection_of(self._server).closed()
        kind = message["type"]
        if kind == _START:
            await self._send(self._with_headers(message))
            status = message["status"]
            if not self._left:
                self._status = str(status)
            self._start = message
            if status in WITHOUT_BODY or self._method == "HEAD" or "trailers" in message:
                self._follow(message)
            else:
                self._plain = True
            return
        await self._send(message)
        if self._plain and kind == _BODY and not message.get("more_body", False):
            self._end()
        else:
            self._follow(message)

    def close(self) -> None:
        """End an exchange whose response the app has not completed: the server closes the connection, or answers."""
        if self.complete or self._on_end is None:
            return
        connection = connection_of(self._server)
        if self._status or self._left or connection.closed() or connection.started():
            self._on_end(self._status or STATUS_CLOSED, False)
        else:
            self._on_end(_UNANSWERED, True)

    def _follow(self, message: Message) -> None:
        """Find the end of a response that is streamed, has trailers, or has no body."""
        if self._progress is None:
            self._progress = ResponseProgress(self._method)
            if self._start and self._start is not message:
                self._progress.observe(self._start)
        self._progress.observe(message)
        if self._progress.complete:
            self._end()

    def _end(self) -> None:
        self.complete = True
        if self._on_end:
            self._on_end(self._status or STATUS_CLOSED, not self._left)

    def _with_headers(self, message: Message) -> Message:
        """Add the request id, unless the app has; close the connection where the body may or may not follow."""
        headers = [*message.get("headers", ())]
        for name, _ in headers:
            if len(name) == _ID_LENGTH and name.lower() == ID_HEADER:
                break
        else:
            headers.append((ID_HEADER, self._request_id))
        if self._expects_continue and connection_of(self._server).awaits_continue():
            headers.append(_CLOSE)
        return {**message, "headers": headers}
