"""The outermost middleware: request ids, request metrics, access log; it sees what users get, injected or not."""

import itertools
import re
import time
import uuid
import weakref
from collections.abc import Callable, Iterator
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.injection.connection import Server
from chaosapi.logger import REQUEST_ID, get_logger
from chaosapi.routes import PROBE_AGENTS
from chaosapi.routing import RouteTable
from chaosapi.telemetry.exchange import ID_HEADER, Exchange
from chaosapi.telemetry.requests import RequestMetrics

_AGENT: Final = b"user-agent"
_EXPECT: Final = b"expect"
_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")

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
        replica: str,
        access_log: bool = True,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self.app = app
        self.routes = routes
        self.metrics = metrics
        self._access_log = access_log
        self._clock = clock
        self._ids = _request_ids(replica)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        sent = dict(scope["headers"])
        header = self._unify_ids(scope) if ID_HEADER in sent else self._add_id(scope)
        request_id = str(header, "ascii")
        scope[keys.REQUEST_ID] = request_id
        server = server_of(send)
        scope[keys.SERVER] = server
        REQUEST_ID.set(request_id)
        method = scope["method"]
        expects_continue = _EXPECT in sent
        # Probes of orchestrators and load balancers are no traffic of users.
        probe = _AGENT in sent and sent[_AGENT].startswith(PROBE_AGENTS)
        handler = None if probe else self.routes.handler(scope)
        if handler is None:
            exchange = Exchange(method, receive, send, server, header, expects_continue, None)
            await self.app(scope, receive, exchange.send)
            return
        scope[keys.HANDLER] = handler
        path = scope["path"]
        traffic = self.metrics.counters_of(method, handler)
        started = self._clock()

        def count(status: str, whole: bool) -> None:  # noqa: FBT001 - keywords take longer
            seconds = self._clock() - started
            traffic.count_answer(status, seconds, whole)
            if self._access_log:
                log.info("request", method=method, path=path, status=status, seconds=round(seconds, 6))

        traffic.count_arrival()
        exchange = Exchange(method, receive, send, server, header, expects_continue, count)
        try:
            await self.app(scope, exchange.receive, exchange.send)
        finally:
            exchange.close()

    def _add_id(self, scope: Scope) -> bytes:
        """Return a new id, which the app finds in the request's headers."""
        chosen = next(self._ids)
        scope["headers"] = [*scope["headers"], (ID_HEADER, chosen)]
        return chosen

    def _unify_ids(self, scope: Scope) -> bytes:
        """Return the first usable id that the client sent, or a new one; leave only that one in the headers."""
        sent = [value for name, value in scope["headers"] if name == ID_HEADER]
        chosen = next((value for value in sent if _ID.fullmatch(value)), None) or next(self._ids)
        if sent != [chosen]:
            others = [header for header in scope["headers"] if header[0] != ID_HEADER]
            scope["headers"] = [*others, (ID_HEADER, chosen)]
        return chosen


def server_of(send: Send) -> Server:
    """Return the server's object of this request, through which effects break the connection; None if it has none.

    Only the outermost middleware gets the server's own `send`, a method of that object. The reference is weak because
    the object holds the scope: a reference cycle would leave each request to the garbage collector, 8 µs of a request.
    """
    try:
        return weakref.ref(getattr(send, "__self__", None))
    except TypeError:
        return None


def _request_ids(replica: str) -> Iterator[bytes]:
    """Yield ids that no other process yields: UUIDs of version 4, the only ones that many middlewares accept.

    They begin with the eight hexadecimal digits at the end of the replica's id, so an id shows which replica answered.
    """
    prefix = f"{replica[-8:]}{str(uuid.uuid4())[8:24]}".encode()
    for number in itertools.count(1):
        yield b"%b%012x" % (prefix, number)
