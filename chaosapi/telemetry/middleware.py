"""The outermost middleware: ids, request metrics, access log; it sees what users get, injected or not."""

import itertools
import re
import time
import uuid
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi import scope as keys
from chaosapi.calls import NOBODY, Calls, Observers, current_calls
from chaosapi.injection.engine import Engine
from chaosapi.logger import REQUEST_ID
from chaosapi.routes import PROBE_AGENTS, UNKNOWN
from chaosapi.telemetry.access_log import AccessLog
from chaosapi.telemetry.exchange import ID_HEADER, Header, OnEnd, exchange, identified
from chaosapi.telemetry.requests import RequestMetrics
from chaosapi.trace_context import TRACEPARENT, current_trace, new, received

if TYPE_CHECKING:
    from chaosapi.telemetry.tracing import Tracing

_AGENT: Final = b"user-agent"
_EXPECT: Final = b"expect"
_ID: Final = re.compile(rb"[\x21-\x7e]{1,128}")


class TelemetryMiddleware:
    """Pure ASGI: `x-request-id` in and out, `traceparent` in, request metrics, one structured log line a request.

    A request without a usable id gets a new one, so that every decision can be replayed by sending that id. The fault
    layer finds it in the scope (`chaosapi/scope.py`), and the handler; the app finds it among the request's headers.
    """

    def __init__(  # noqa: PLR0913 - one for each part
        self,
        app: ASGIApp,
        metrics: RequestMetrics,
        *,
        replica: str,
        engine: Engine,
        untouched: ASGIApp,
        access_log: AccessLog | None = None,
        observers: Observers = NOBODY,
        tracing: "Tracing | None" = None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`untouched` serves the requests of routes at which no fault acts; `app` all others.

        `observers` are called with each call of a request to a dependency; `tracing` makes the spans of requests.
        """
        self.app = app
        self.metrics = metrics
        self._engine = engine
        self._untouched = untouched
        self._access_log = access_log
        self._observers = observers
        self._tracing = tracing
        self._clock = clock
        self._ids = _request_ids(replica)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] != "http":
            return self.app(scope, receive, send)
        sent = dict(scope["headers"])
        header = self._unify_ids(scope) if ID_HEADER in sent else self._add_id(scope)
        # Probes of orchestrators and load balancers are no traffic of users.
        probe = _AGENT in sent and sent[_AGENT].startswith(PROBE_AGENTS)
        handler = None if probe else self._engine.routes.handler(scope)
        touched = handler in self._engine.touched or handler == UNKNOWN
        if touched or self._access_log or handler is None:
            REQUEST_ID.set(header[1].decode())
        if handler is None:
            return self.app(scope, receive, identified(send, header, _EXPECT in sent))
        app = self._untouched
        if touched:
            app = self.app
            scope[keys.HANDLER] = handler
            scope[keys.REQUEST_ID] = header[1].decode()
            scope[keys.SEND] = send
        counters = self.metrics.by_route[scope["method"], handler]
        counters.in_progress[0] += 1
        calls = Calls(self._observers, self._clock)
        current_calls.set(calls)
        trace = received(scope["headers"]) if TRACEPARENT in sent else None
        # Without a log line nothing may ever read the trace, so `trace_here` makes it when something does.
        if trace or self._access_log or current_trace.get():
            current_trace.set(trace or (new() if self._access_log else None))
        count = counters.count_answer
        if self._access_log:
            write = partial(self._access_log.write, scope["method"], handler, scope["path"], sent, calls)
            count = partial(_count_and_log, count, write)
        if self._tracing:
            answer = partial(
                exchange, app, scope, receive, send, header, _EXPECT in sent, self._clock, counters.count_first_byte
            )
            return self._tracing.serve(answer, scope, handler, trace, count)
        return exchange(
            app, scope, receive, send, header, _EXPECT in sent, self._clock, counters.count_first_byte, count
        )

    def _add_id(self, scope: Scope) -> Header:
        """Return the header with a new id, which the app finds in the request's headers."""
        header = ID_HEADER, next(self._ids)
        scope["headers"] = [*scope["headers"], header]
        return header

    def _unify_ids(self, scope: Scope) -> Header:
        """Return the header with the client's first usable id, or a new one; leave only that one in the headers."""
        sent = [value for name, value in scope["headers"] if name == ID_HEADER]
        header = ID_HEADER, next((value for value in sent if _ID.fullmatch(value)), None) or next(self._ids)
        if sent != [header[1]]:
            others = [each for each in scope["headers"] if each[0] != ID_HEADER]
            scope["headers"] = [*others, header]
        return header


def _count_and_log(
    count: OnEnd,
    write: Callable[[str, float], None],
    status: str,
    seconds: float,
    whole: bool,  # noqa: FBT001 - keywords take longer
    begun: bool,  # noqa: FBT001 - as above
) -> None:
    count(status, seconds, whole, begun)
    write(status, seconds)


def _request_ids(replica: str) -> Iterator[bytes]:
    """Return ids that no other process makes: UUIDs of version 4, the only ones that many middlewares accept.

    They begin with the eight hexadecimal digits at the end of the replica's id, so an id shows which replica answered.
    """
    prefix = f"{replica[-8:]}{str(uuid.uuid4())[8:24]}".encode()
    return map((prefix + b"%012x").__mod__, itertools.count(1))
