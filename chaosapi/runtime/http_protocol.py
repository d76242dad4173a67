"""uvicorn's HTTP/1.1 connection with limits on the size of a request's head and time-outs for slow clients.

uvicorn limits neither the head of a request nor the time until the head or the body is complete. This module uses
undocumented parts of uvicorn; tests/runtime/test_http_protocol.py fails where they change.
"""

import json
import select
from asyncio import AbstractEventLoop, TimerHandle, Transport
from http import HTTPStatus
from typing import Any, ClassVar, Final

from httptools import HttpParserCallbackError
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from chaosapi import peers

MAX_HEAD_BYTES: Final = 64 * 1024
"""The head of a request: request line and headers."""
MAX_TARGET_BYTES: Final = 8 * 1024
"""The target of a request: path and query."""
MAX_HEADERS: Final = 256
MAX_PIPELINED: Final = 64
"""Requests that may wait on one connection for the responses to earlier requests."""
_LINGER_S: Final = 2.0
"""How long a refused client may read the response: a close while it still sends would reset the connection."""

_MAX_DISCARDED_BYTES: Final = 4 * 2**20
"""How much more a refused client may send before the connection is aborted."""

_HEAD_TOO_LARGE: Final = (
    431,
    f"the head of a request may have {MAX_HEAD_BYTES} bytes and {MAX_HEADERS} headers, trailers included",
)
_TARGET_TOO_LONG: Final = (414, f"path and query may have {MAX_TARGET_BYTES} bytes")
_MALFORMED: Final = (400, "this is no valid HTTP/1.1 request")
_STALLED_AFTER_S: Final = 1.0
"""How long a client has to read nothing of its response to count as idle."""
_TIMED_OUT: Final = (408, "the request did not arrive in time")


class HttpProtocol(HttpToolsProtocol):
    """One connection. Refusals are problem documents.

    The first byte of a request has to arrive within `head_timeout`, then its head within `head_timeout`, then its body
    within `body_timeout`, in seconds. A client that reads nothing of a response for `stall_timeout` is disconnected.
    """

    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # uvicorn's annotation lacks None: no request yet

    head_timeout: ClassVar[float] = 10.0
    body_timeout: ClassVar[float] = 60.0
    stall_timeout: ClassVar[float] = 60.0

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._unparsed_bytes = 0
        """Bytes since the parser last found the end of a head, or a part of a body."""
        self._last_chunk_bytes = 0
        self._first_chunk_bytes = 0
        """The chunk in which the current head began: any part of it may belong to the head."""
        self._in_head = False
        self._discarding = False
        """Whether further input is discarded: the request was refused."""
        self._discarded_bytes = 0
        self._refusal = _MALFORMED
        self._deadline: TimerHandle | None = None
        """Set while the client has to send something: the first byte, the head or the body of a request."""
        self._stall_timer: TimerHandle | None = None
        """Set while the client has to read its response."""
        self._waiting_since = self.loop.time()
        """The event loop's time when the wait for the client began."""
        self._pipelined: list[RequestResponseCycle] = []
        """Requests that had no complete response when the next one arrived."""

    @property
    def idle_since(self) -> float | None:
        """Return the event loop's time since which the client is idle; None while a request of it is being served."""
        cycle = self.cycle
        if self._stall_timer:
            return self._waiting_since if self._waiting_since + _STALLED_AFTER_S < self.loop.time() else None
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            return None
        return self._waiting_since if self._deadline or self.timeout_keep_alive_task else None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        super().connection_made(transport)
        self._start_deadline(self.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Mark every unanswered request as disconnected; uvicorn marks only the last one.

        Requests that never ran refer to this object: it forgets them, so that no garbage collection is needed.
        """
        super().connection_lost(exc)
        self._cancel_deadline()
        if self._stall_timer:
            self._stall_timer.cancel()
        self.pipeline.clear()
        for cycle in self._pipelined:
            _mark_disconnected(cycle)
        self._pipelined.clear()
        self.cycle = None

    def data_received(self, data: bytes) -> None:
        """Parse the chunk, and set the deadline for the rest of the request."""
        if self._discarding:
            self._discarded_bytes += len(data)
            if self._discarded_bytes > _MAX_DISCARDED_BYTES:
                self.transport.abort()
            return
        self._last_chunk_bytes = len(data)
        self._unparsed_bytes += self._last_chunk_bytes
        super().data_received(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self._discarding:
            self._refuse(*_HEAD_TOO_LARGE)
        cycle = self.cycle
        if self._in_head or cycle is None or cycle.response_complete or cycle.more_body:
            if self._deadline is None:
                in_body = not self._in_head and cycle is not None and not cycle.response_complete
                self._start_deadline(self.body_timeout if in_body else self.head_timeout)
        elif self._deadline is not None:
            self._cancel_deadline()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._first_chunk_bytes = self._last_chunk_bytes
        if self._deadline is not None:
            self._cancel_deadline()

    def on_headers_complete(self) -> None:
        """Refuse a head that is too large, a target that is too long, or a wrong Host; else serve the request."""
        self._in_head = False
        if self._deadline is not None:
            self._cancel_deadline()
        if len(self.url) > MAX_TARGET_BYTES:
            self._abort_parsing(_TARGET_TOO_LONG)
        if wrong := self._wrong_host():
            self._abort_parsing((400, wrong))
        if len(self.pipeline) >= MAX_PIPELINED:
            raise HttpParserCallbackError  # earlier requests are answered, then the connection closes
        may_be_large = self._first_chunk_bytes + self._unparsed_bytes > MAX_HEAD_BYTES
        if len(self.headers) > MAX_HEADERS or (may_be_large and self._head_size() > MAX_HEAD_BYTES):
            self._abort_parsing(_HEAD_TOO_LARGE)
        self._unparsed_bytes = 0
        former = self.cycle
        super().on_headers_complete()
        if self.expect_100_continue and self.cycle is not None:
            self.cycle.__class__ = _ExpectContinueCycle  # uvicorn constructs the cycle itself
        self.headers = _TRAILERS
        if former is not None and not former.response_complete:
            self._pipelined = [cycle for cycle in self._pipelined if not cycle.response_complete] + [former]

    def on_body(self, body: bytes) -> None:
        self._unparsed_bytes = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        self._waiting_since = self.loop.time()
        super().on_response_complete()
        if self.transport.is_closing():
            self._abort_slow_close()

    def timeout_keep_alive_handler(self) -> None:
        super().timeout_keep_alive_handler()
        self._abort_slow_close()

    def pause_writing(self) -> None:
        """Abort the connection where the client reads nothing for `stall_timeout`."""
        super().pause_writing()
        self._waiting_since = self.loop.time()
        self._stall_timer = self.loop.call_later(self.stall_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stall_timer:
            self._stall_timer.cancel()
            self._stall_timer = None

    def shutdown(self) -> None:
        """Close an idle connection; otherwise close after the response, also to a request that was not read yet."""
        idle = self.cycle is None or self.cycle.response_complete
        if not (idle and _has_unread_data(self.transport)):
            super().shutdown()

    def send_400_response(self, msg: str) -> None:
        """Refuse the request; uvicorn calls it where the parser failed, or a callback of the parser raised."""
        self._refuse(*self._refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """Answer as if no upgrade were requested, log nothing, and close: the parser cannot go on after an upgrade."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _wrong_host(self) -> str:
        values = [value.decode("latin-1") for name, value in self.headers if name == b"host"]
        if not values and self.parser.get_http_version() == "1.1":
            return "a request needs a Host"
        return peers.wrong_host(values)

    def _abort_parsing(self, refusal: tuple[int, str]) -> None:
        self._refusal = refusal
        raise HttpParserCallbackError

    def _on_deadline(self) -> None:
        self._deadline = None
        cycle = self.cycle
        if cycle is not None and cycle.response_complete:
            cycle = None
        if cycle and (self.flow.read_paused or self._in_head or not cycle.more_body):
            self._start_deadline(self.head_timeout)  # the service is slow, not the client
        elif cycle or self._in_head:
            self._refuse(*_TIMED_OUT)
        else:
            self.transport.close()
            self._abort_slow_close()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer with a problem document, after the responses to earlier requests, and close."""
        self._discarding = True
        self._cancel_deadline()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                cycle.keep_alive = False
                return
            _mark_disconnected(cycle)
            if cycle.response_started:
                self.transport.close()
                self._abort_slow_close()
                return
        if self.transport.is_closing():
            return
        self.transport.write(_problem_response(status, detail, self.server_state.default_headers))
        self.transport.write_eof()
        self._unset_keepalive_if_required()
        self.loop.call_later(_LINGER_S, self.transport.abort)

    def _start_deadline(self, seconds: float) -> None:
        self._waiting_since = self.loop.time()
        self._deadline = self.loop.call_later(seconds, self._on_deadline)

    def _cancel_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _abort_slow_close(self) -> None:
        """Abort a connection that is closing where the client does not read the rest of its response in time."""
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self.stall_timeout, self.transport.abort)


class _DiscardingList(list[tuple[bytes, bytes]]):
    def append(self, _: tuple[bytes, bytes], /) -> None:
        pass


_TRAILERS: Final = _DiscardingList()
"""Discards trailers: ASGI has no place for them, and uvicorn would append any number of them to the headers."""


class _ExpectContinueCycle(RequestResponseCycle):
    """A request whose client expects 100 Continue before it sends the body.

    After a final response the client may send the body or leave it out (RFC 9110, 10.1.1). The server cannot
    distinguish the body from the next request, so the response closes the connection.
    """

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start" and self.waiting_for_100_continue:
            others = [header for header in message.get("headers", ()) if header[0] != b"connection"]
            message = {**message, "headers": [*others, (b"connection", b"close")]}
        await super().send(message)


def _mark_disconnected(cycle: RequestResponseCycle) -> None:
    if not cycle.response_complete:
        cycle.disconnected = True
        cycle.message_event.set()


def _has_unread_data(transport: Transport) -> bool:
    """Return whether data has arrived that the event loop has not read yet."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _problem_response(status: int, detail: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Return a whole HTTP response that closes the connection."""
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = json.dumps(problem).encode()
    own = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    others = [header for header in headers if header[0] != b"connection"]
    lines = [b"%s: %s\r\n" % header for header in [*others, *own]]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])
