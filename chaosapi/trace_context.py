"""W3C Trace Context, level 1: the ids that join the log lines and spans of one request across services."""

import os
import re
from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Final, NamedTuple

TRACEPARENT: Final = b"traceparent"
TRACESTATE: Final = b"tracestate"

_HEADER: Final = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]*)?")
_KNOWN_VERSION: Final = b"00"
_FORBIDDEN_VERSION: Final = b"ff"
_SAMPLED: Final = 1
_MAX_STATE: Final = 512
_TRACE_ID_BYTES: Final = 16
_ID_BYTES: Final = _TRACE_ID_BYTES + 8


class TraceContext(NamedTuple):
    """The trace that a request belongs to, and the span that is the parent of what the request calls."""

    trace_id: str
    """32 hexadecimal digits, not all 0."""
    span_id: str
    """16 hexadecimal digits, not all 0."""
    sampled: bool
    """Whether the caller, or this process, records the trace."""
    state: str = ""
    """The `tracestate` of the caller, which is passed on as it came."""

    @property
    def headers(self) -> dict[str, str]:
        """Return the headers of a request that this one makes."""
        parent = {"traceparent": f"00-{self.trace_id}-{self.span_id}-{self.sampled:02x}"}
        return parent | {"tracestate": self.state} if self.state else parent


current_trace: ContextVar[TraceContext | None] = ContextVar("chaosapi.current_trace", default=None)
"""The trace of the request that is being served; None where nothing has needed one yet: see `trace_here`."""


def parse(header: bytes) -> TraceContext | None:
    """Return what a `traceparent` says; None where it is not valid, so that a new trace begins."""
    found = _HEADER.fullmatch(header)
    if not found:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == _FORBIDDEN_VERSION or (version == _KNOWN_VERSION and more):
        return None
    if not trace_id.strip(b"0") or not span_id.strip(b"0"):
        return None
    return TraceContext(trace_id.decode(), span_id.decode(), bool(int(flags, 16) & _SAMPLED))


def received(headers: Iterable[tuple[bytes, bytes]]) -> TraceContext | None:
    """Return the context in the headers of a request; None unless there is one valid `traceparent`."""
    parents: list[bytes] = []
    states: list[bytes] = []
    for name, value in headers:
        if name == TRACEPARENT:
            parents.append(value)
        elif name == TRACESTATE:
            states.append(value)
    found = parse(parents[0]) if len(parents) == 1 else None
    state = b",".join(states)
    if found and state and len(state) <= _MAX_STATE:
        return found._replace(state=state.decode("latin-1"))
    return found


def new(random_bytes: Callable[[int], bytes] = os.urandom) -> TraceContext:
    """Return the context of a new trace, which nobody records."""
    digits = random_bytes(_ID_BYTES).hex()
    return TraceContext(digits[: 2 * _TRACE_ID_BYTES], digits[2 * _TRACE_ID_BYTES :], sampled=False)


def trace_here() -> TraceContext:
    """Return the current trace, after making one if there is none: a request without a reader of its trace has none."""
    found = current_trace.get()
    if found is None:
        found = new()
        current_trace.set(found)
    return found
