"""The outermost middleware: request ids, request metrics, access log; it sees what users get, injected or not."""

import itertools
import re
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.injection.connection import Connection, connection_of
from chaosapi.logger import REQUEST_ID, get_logger
from chaosapi.response import ResponseProgress
from chaosapi.routes import STATUS_CLOSED, RouteTable, exempt, route_path
from chaosapi.telemetry.requests import RequestMetrics

_HEADER: Final = b"x-request-id"
_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")
_CLOSE: Final = (b"connection", b"close")
_UNANSWERED: Final = "500"
"""The status that servers send where the app ends without a response."""

log = get_logger("chaosapi.access")


class TelemetryMiddleware:
    """Pure ASGI: `x-request-id` in and out, request metrics, one structured log line a request.

    A request without a usable id gets a new one, so that every decision can be replayed by sending that id. The fault
    layer finds it in the scope (`chaosapi/scope.py`), and the handler; the app finds it among the request's headers.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: RouteTable,
        metrics: RequestMetrics,
        *,
        access_log: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = app
        self.routes = routes
        self.metrics = metrics
        self._access_log = access_log
        self._clock = clock
        self._ids = _request_ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = self._identify(scope)
        scope[keys.REQUEST_ID] = request_id
        server = server_of(send)
        scope[keys.SERVER] = server
        REQUEST_ID.set(request_id)
        exchange = _Exchange(scope["method"], receive, send, connection_of(server), request_id)
        asked = scope["path"]
        path = route_path(scope)
        if exempt(path):
            await self.app(scope, receive, exchange.send)
            return
        handler = self.routes.template(path)
        scope[keys.HANDLER] = handler
        method = scope["method"]
        traffic = self.metrics.counters_of(method, handler)
        started = self._clock()

        def count(status: str, *, whole: bool) -> None:
            seconds = self._clock() - started
            traffic.count_answer(status, seconds, whole=whole)
            if self._access_log:
                log.info("request", method=method, path=asked, status=status, seconds=round(seconds, 6))

        traffic.count_arrival()
        exchange.on_end = count
        try:
            await self.app(scope, exchange.receive, exchange.send)
        finally:
            exchange.close()

    def _identify(self, scope: Scope) -> str:
        """Return the id that the client sent, or a new one, which the app then finds in the request's headers."""
        headers = scope["headers"]
        sent = [value for name, value in headers if name == _HEADER]
        usable = next((value for value in sent if _ID.fullmatch(value)), None)
        chosen = usable or next(self._ids).encode()
        if sent != [chosen]:
            scope["headers"] = [*(each for each in headers if each[0] != _HEADER), (_HEADER, chosen)]
        return str(chosen, "ascii")


class _OnEnd(Protocol):
    def __call__(self, status: str, *, whole: bool) -> None: ...


class _Exchange:
    """One request and its response, between the server and the app.

    `on_end` is called once, when the client has the response or can no longer get it: with the status that the client
    saw, and whether the response arrived as a whole. What the app does afterwards, such as background tasks, is not
    part of the exchange.
    """

    __slots__ = (
        "_connection",
        "_left",
        "_progress",
        "_receive",
        "_refused",
        "_request_id",
        "_send",
        "_status",
        "on_end",
    )

    def __init__(self, method: str, receive: Receive, send: Send, connection: Connection, request_id: str) -> None:
        self.on_end: _OnEnd | None = None
        self._receive = receive
        self._send = send
        self._connection = connection
        self._request_id = request_id
        self._progress = ResponseProgress(method)
        self._status: str | None = None
        self._left = False
        """Whether the client has disconnected before the end of the response."""
        self._refused = False
        """Whether the server refused the start of the response, and so closes the connection."""

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        if self._progress.complete:
            await self._send(message)
            return
        starting = message["type"] == "http.response.start"
        self._left = self._left or self._connection.closed()
        if starting:
            message = self._with_headers(message)
        try:
            await self._send(message)
        except Exception:
            self._refused = starting
            raise
        if starting and not self._left:
            self._status = str(message["status"])
        self._progress.observe(message)
        if self._progress.complete:
            self._end(self._status or STATUS_CLOSED, whole=not self._left)

    def close(self) -> None:
        """End an exchange whose response the app has not completed: the server closes the connection, or answers."""
        if self._status or self._refused or self._left or self._connection.closed():
            self._end(self._status or STATUS_CLOSED, whole=False)
        else:
            self._end(_UNANSWERED, whole=True)

    def _end(self, status: str, *, whole: bool) -> None:
        on_end = self.on_end
        self.on_end = None
        if on_end:
            on_end(status, whole=whole)

    def _with_headers(self, message: Message) -> Message:
        """Add the request id, unless the app has; close the connection where the body may or may not follow."""
        headers = list(message.get("headers", ()))
        if not any(name.lower() == _HEADER for name, _ in headers):
            headers.append((_HEADER, self._request_id.encode()))
        if self._connection.awaits_continue():
            headers.append(_CLOSE)
        return {**message, "headers": headers}


def server_of(send: Send) -> "weakref.ref[object] | None":
    """Return the server's object of this request, through which effects break the connection; None if it has none.

    Only the outermost middleware gets the server's own `send`, a method of that object. The reference is weak because
    the object holds the scope: a reference cycle would leave each request to the garbage collector, 8 µs of a request.
    """
    try:
        return weakref.ref(getattr(send, "__self__", None))
    except TypeError:
        return None


def _request_ids() -> Iterator[str]:
    """Yield ids that no other process yields: UUIDs of version 4, the only ones that many middlewares accept."""
    prefix = str(uuid.uuid4())[:24]
    for number in itertools.count(1):
        yield f"{prefix}{number:012x}"
