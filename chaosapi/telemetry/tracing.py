"""OpenTelemetry spans: one for each request, each try of a call to a dependency, and each wait for a place.

Spans have the names and attributes of OpenTelemetry's semantic conventions, and say what happened, not why.
`chaosapi/telemetry/trace_provider.py` decides whether there are any, and where they go.
"""

import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Any, Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.trace import Span, SpanContext, SpanKind, Status, StatusCode, TraceFlags, Tracer, TraceState
from starlette.types import Scope

from chaosapi.calls import Observers, Try, Wait
from chaosapi.routes import STATUS_CLOSED
from chaosapi.telemetry.exchange import OnEnd
from chaosapi.trace_context import TRACEPARENT, TraceContext, current_trace

_NS: Final = 1_000_000_000
_SERVER_ERROR: Final = "5"
_RECORDED: Final = TraceFlags(TraceFlags.SAMPLED)
_NOT_RECORDED: Final = TraceFlags(TraceFlags.DEFAULT)

_pool_waits: ContextVar[list[Wait] | None] = ContextVar("chaosapi.pool_waits", default=None)
"""The waits for a connection whose try has not ended yet."""


class Tracing:
    """Makes the spans of requests with a tracer of OpenTelemetry."""

    def __init__(
        self,
        tracer: Tracer,
        release: Callable[[], str],
        close: Callable[[], object],
        now: Callable[[], int] = time.time_ns,
    ) -> None:
        """`release` returns the release that runs, empty if unknown; `now` Unix nanoseconds; `close` sends the rest."""
        self._tracer = tracer
        self._release = release
        self.close = close
        self._now = now
        self.observers = Observers([self.record_try], [self.record_wait], [self.record_breaker])

    async def serve(
        self,
        answer: Callable[[OnEnd], Awaitable[None]],
        scope: Scope,
        route: str,
        caller: TraceContext | None,
        on_end: OnEnd,
    ) -> None:
        """Let `answer` serve a request within a span, a child of the caller's, that ends with the response.

        Where the host has begun a span for the request, this one is its child.
        """
        parent = otel_context.get_current()
        host = trace.get_current_span(parent).get_span_context()
        if caller and not host.is_valid:
            parent = trace.set_span_in_context(trace.NonRecordingSpan(_remote(caller)), parent)
        span = self._tracer.start_span(
            f"{scope['method']} {route}",
            parent,
            SpanKind.INTERNAL if host.is_valid else SpanKind.SERVER,
            _request_attributes(scope, route, self._release()),
        )
        made = span.get_span_context()
        here = TraceContext(
            trace.format_trace_id(made.trace_id),
            trace.format_span_id(made.span_id),
            made.trace_flags.sampled,
            caller.state if caller else "",
        )
        current_trace.set(here)
        # FastAPI's own spans, and an app that passes the header on, take the parent from here.
        others = [each for each in scope["headers"] if each[0] != TRACEPARENT]
        scope["headers"] = [*others, (TRACEPARENT, here.headers["traceparent"].encode())]
        _pool_waits.set([])

        def end(status: str, seconds: float, whole: bool, streamed: bool) -> None:  # noqa: FBT001 - as OnEnd has it
            on_end(status, seconds, whole, streamed)
            _end(span, status, whole=whole)

        token = otel_context.attach(trace.set_span_in_context(span, parent))
        try:
            await answer(end)
        finally:
            otel_context.detach(token)

    def record_try(self, done: Try) -> None:
        """Make the span of a try that has just ended, and those of its waits for a connection."""
        if not _recorded():
            return
        attributes: dict[str, str | int] = {"service.peer.name": done.dependency}
        if done.number > 1:
            attributes["http.request.resend_count"] = done.number - 1
        if done.outcome != "ok":
            attributes["error.type"] = done.outcome
        end = self._now()
        start = end - round(done.seconds * _NS)
        span = self._tracer.start_span(done.dependency, None, SpanKind.CLIENT, attributes, start_time=start)
        if done.outcome != "ok":
            span.set_status(Status(StatusCode.ERROR, done.error or done.outcome))
        parent = trace.set_span_in_context(span)
        waits = _pool_waits.get() or []
        for wait in [each for each in waits if each.dependency == done.dependency]:
            waits.remove(wait)
            offset = round((wait.started - done.started) * _NS)
            self._span_of_wait("pool wait", wait, start + offset, parent)
        span.end(end)

    def record_wait(self, wait: Wait) -> None:
        """Make the span of a wait that has just ended; a wait for a connection becomes a child of its try."""
        waits = _pool_waits.get()
        if wait.dependency and waits is not None:
            waits.append(wait)
        elif _recorded():
            name = "pool wait" if wait.dependency else "queue wait"
            self._span_of_wait(name, wait, self._now() - round(wait.seconds * _NS))

    def record_breaker(self, dependency: str, state: str) -> None:
        """Note on the span of the request that a circuit breaker has changed."""
        span = trace.get_current_span()
        if span.is_recording():
            span.add_event(f"circuit breaker {state}", {"service.peer.name": dependency})

    def _span_of_wait(self, name: str, wait: Wait, start: int, parent: otel_context.Context | None = None) -> None:
        attributes = {"service.peer.name": wait.dependency} if wait.dependency else {}
        span = self._tracer.start_span(name, parent, SpanKind.INTERNAL, attributes, start_time=start)
        if wait.rejected:
            span.set_attribute("error.type", "rejected")
            span.set_status(Status(StatusCode.ERROR, "no place became free"))
        span.end(start + round(wait.seconds * _NS))


def _recorded() -> bool:
    """Return whether the trace of the request is recorded; its span may have ended, as in a background task."""
    return trace.get_current_span().get_span_context().trace_flags.sampled


def _remote(caller: TraceContext) -> SpanContext:
    return SpanContext(
        int(caller.trace_id, 16),
        int(caller.span_id, 16),
        is_remote=True,
        trace_flags=_RECORDED if caller.sampled else _NOT_RECORDED,
        trace_state=TraceState.from_header([caller.state]) if caller.state else None,
    )


def _request_attributes(scope: Scope, route: str, release: str) -> dict[str, Any]:
    attributes: dict[str, Any] = {
        "http.request.method": scope["method"],
        "http.route": route,
        "url.path": scope["path"],
        "url.scheme": scope.get("scheme", "http"),
    }
    if release:  # an operator changes it while the process runs, so no attribute of the process has it
        attributes["service.version"] = release
    for name, value in scope["headers"]:
        if name == b"x-request-id":
            attributes["http.request.header.x-request-id"] = [value.decode("latin-1")]
        elif name == b"user-agent":
            attributes["user_agent.original"] = value.decode("latin-1")
    return attributes


def _end(span: Span, status: str, *, whole: bool) -> None:
    if status != STATUS_CLOSED:
        span.set_attribute("http.response.status_code", int(status))
    if status[0] == _SERVER_ERROR:
        span.set_attribute("error.type", status)
        span.set_status(StatusCode.ERROR)
    elif not whole:
        span.set_attribute("error.type", "connection_closed")
        span.set_status(Status(StatusCode.ERROR, "the client did not get the whole answer"))
    span.end()
