"""The outermost middleware: request ids, request metrics, access log; it sees what users get, injected or not."""

import itertools
import re
import time
import weakref
from collections.abc import Awaitable, Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.logger import REQUEST_ID, get_logger
from chaosapi.routes import RouteTable, exempt, route_path
from chaosapi.telemetry.requests import STATUS_CLOSED, RequestMetrics

_ID = re.compile(rb"^[\x21-\x7e]{1,128}$")

log = get_logger("chaosapi.access")


class TelemetryMiddleware:
    """Pure ASGI: `x-request-id` in and out, request metrics, one structured log line a request.

    A request without a usable id gets the replica's id and a counter, so that every decision can be replayed by
    sending that id. The fault layer finds it in the scope (`chaosapi/scope.py`), and the handler.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: RouteTable,
        metrics: RequestMetrics,
        *,
        replica: str,
        access_log: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = app
        self.routes = routes
        self.metrics = metrics
        self._replica = replica
        self._access_log = access_log
        self._clock = clock
        self._count = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = self._request_id(scope)
        scope[keys.REQUEST_ID] = request_id
        scope[keys.SERVER] = server_of(send)
        REQUEST_ID.set(request_id)
        status = STATUS_CLOSED
        started = self._clock()

        def observed(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = str(message["status"])
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            return send(message)

        asked = scope["path"]
        path = route_path(scope)
        if exempt(path):
            await self.app(scope, receive, observed)
            return
        handler = self.routes.template(path)
        scope[keys.HANDLER] = handler
        method = scope["method"]
        traffic = self.metrics.counters_of(method, handler)
        traffic.count_arrival()
        try:
            await self.app(scope, receive, observed)
        finally:
            seconds = self._clock() - started
            traffic.count_answer(status, seconds)
            if self._access_log:
                log.info("request", method=method, path=asked, status=status, seconds=round(seconds, 6))

    def _request_id(self, scope: Scope) -> str:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and _ID.match(value):
                return str(value, "ascii")
        return f"{self._replica}-{next(self._count)}"


def server_of(send: Send) -> "weakref.ref[object] | None":
    """Return the server's object of this request, through which effects break the connection; None if it has none.

    Only the outermost middleware gets the server's own `send`, a method of that object. The reference is weak because
    the object holds the scope: a reference cycle would leave each request to the garbage collector, 8 µs of a request.
    """
    try:
        return weakref.ref(getattr(send, "__self__", None))
    except TypeError:
        return None
