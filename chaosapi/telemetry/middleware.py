"""The outermost middleware: request ids, request metrics, access log; it sees what users get, injected or not."""

import itertools
import re
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.injection.connection import Server, connection_of
from chaosapi.logger import REQUEST_ID, get_logger
from chaosapi.response import ResponseProgress
from chaosapi.routes import PROBE_AGENTS, STATUS_CLOSED
from chaosapi.routing import RouteTable
from chaosapi.telemetry.requests import RequestMetrics, RouteCounters

_ID_HEADER: Final = b"x-request-id"
_ID_LENGTH: Final = len(_ID_HEADER)
_AGENT: Final = b"user-agent"
_EXPECT: Final = b"expect"
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
        sent = dict(scope["headers"])
        header = self._unify_ids(scope) if _ID_HEADER in sent else self._add_id(scope)
        request_id = str(header, "ascii")
        scope[keys.REQUEST_ID] = request_id
        server = server_of(send)
        scope[keys.SERVER] = server
        REQUEST_ID.set(request_id)
        method = scope["method"]
        exchange = _Exchange(method, receive, send, server, header)
        if _EXPECT in sent:
            exchange.expects_continue = True
        # Probes of orchestrators and load balancers are no traffic of users.
        probe = _AGENT in sent and sent[_AGENT].startswith(PROBE_AGENTS)
        handler = None if probe else self.routes.handler(scope)
        if handler is None:
            await self.app(scope, receive, exchange.send)
            return
        scope[keys.HANDLER] = handler
        exchange.path = scope["path"]
        exchange.traffic = traffic = self.metrics.counters_of(method, handler)
        exchange.on_end = self._count
        exchange.started = self._clock()
        traffic.count_arrival()
        try:
            await self.app(scope, exchange.receive, exchange.send)
        finally:
            exchange.close()

    def _add_id(self, scope: Scope) -> bytes:
        """Return a new id, which the app finds in the request's headers."""
        chosen = next(self._ids)
        scope["headers"] = [*scope["headers"], (_ID_HEADER, chosen)]
        return chosen

    def _unify_ids(self, scope: Scope) -> bytes:
        """Return the first usable id that the client sent, or a new one; leave only that one in the headers."""
        sent = [value for name, value in scope["headers"] if name == _ID_HEADER]
        chosen = next((value for value in sent if _ID.fullmatch(value)), None) or next(self._ids)
        if sent != [chosen]:
            others = [header for header in scope["headers"] if header[0] != _ID_HEADER]
            scope["headers"] = [*others, (_ID_HEADER, chosen)]
        return chosen

    def _count(self, exchange: "_Exchange", status: str, whole: bool) -> None:  # noqa: FBT001 - keywords take longer
        seconds = self._clock() - exchange.started
        exchange.traffic.count_answer(status, seconds, whole=whole)
        if self._access_log:
            fields = {"method": exchange.method, "path": exchange.path, "status": status}
            log.info("request", **fields, seconds=round(seconds, 6))


class _Exchange(ResponseProgress):
    """One request and its response, between the server and the app.

    `on_end` is called once, when the client has the response or can no longer get it: with the status that the client
    saw, and whether the response arrived as a whole. What the app does afterwards, such as background tasks, is not
    part of the exchange.
    """

    on_end: "Callable[[_Exchange, str, bool], None] | None" = None
    traffic: RouteCounters
    started: float
    path: str
    _status: str | None = None
    expects_continue = False
    """Whether the client may wait for 100 Continue before it sends the body."""
    _left = False
    """Whether the client has disconnected before the end of the response."""

    def __init__(self, method: str, receive: Receive, send: Send, server: Server, request_id: bytes) -> None:
        super().__init__(method)
        self._receive = receive
        self._send = send
        self._server = server
        self._transport = getattr(getattr(send, "__self__", None), "transport", None)
        self._request_id = request_id

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            self._left = True
        return message

    async def send(self, message: Message) -> None:
        if self.complete:
            await self._send(message)
            return
        transport = self._transport
        # For every message: under uvicorn this suffices while the connection is open and is read.
        if transport is None or transport.is_closing() or not transport.is_reading():
            self._left = self._left or connection_of(self._server).closed()
        if message["type"] == "http.response.start":
            await self._send(self._with_headers(message))
            if not self._left:
                self._status = str(message["status"])
        else:
            await self._send(message)
        self.observe(message)
        if self.complete and self.on_end:
            self.on_end(self, self._status or STATUS_CLOSED, not self._left)

    def close(self) -> None:
        """End an exchange whose response the app has not completed: the server closes the connection, or answers."""
        if self.complete or self.on_end is None:
            return
        connection = connection_of(self._server)
        if self._status or self._left or connection.closed() or connection.started():
            self.on_end(self, self._status or STATUS_CLOSED, False)
        else:
            self.on_end(self, _UNANSWERED, True)

    def _with_headers(self, message: Message) -> Message:
        """Add the request id, unless the app has; close the connection where the body may or may not follow."""
        headers = [*message.get("headers", ())]
        for name, _ in headers:
            if len(name) == _ID_LENGTH and name.lower() == _ID_HEADER:
                break
        else:
            headers.append((_ID_HEADER, self._request_id))
        if self.expects_continue and connection_of(self._server).awaits_continue():
            headers.append(_CLOSE)
        return {**message, "headers": headers}


def server_of(send: Send) -> Server:
    """Return the server's object of this request, through which effects break the connection; None if it has none.

    Only the outermost middleware gets the server's own `send`, a method of that object. The reference is weak because
    the object holds the scope: a reference cycle would leave each request to the garbage collector, 8 µs of a request.
    """
    try:
        return weakref.ref(getattr(send, "__self__", None))
    except TypeError:
        return None


def _request_ids() -> Iterator[bytes]:
    """Yield ids that no other process yields: UUIDs of version 4, the only ones that many middlewares accept."""
    prefix = str(uuid.uuid4())[:24].encode()
    for number in itertools.count(1):
        yield b"%b%012x" % (prefix, number)
