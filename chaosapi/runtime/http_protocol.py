"""uvicorn's HTTP/1.1 connection, with bounds for what a client may send and for how long it may keep us waiting.

uvicorn has none for the head of a request, and none for the time until it or its body is complete. What is used here
of uvicorn's own beyond its documentation is guarded by tests/runtime/test_http_protocol.py.
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

HEAD: Final = 64 * 1024
"""Bytes that the head of a request may have: request line and headers."""
TARGET: Final = 8 * 1024
"""Bytes that its target may have, the path and the query."""
HEADERS: Final = 256
"""Headers that it may have."""
PIPELINED: Final = 64
"""Requests that may wait on one connection for the answers to those before them."""
_LINGER: Final = 2.0
"""Seconds in which a client that was refused may read why: closing at once, while it still sends, would reset that."""

_IGNORED: Final = 4 * 2**20
"""Bytes that it may still send meanwhile."""

_LARGE_HEAD: Final = (431, f"the head of a request may have {HEAD} bytes and {HEADERS} headers, trailers included")
_LONG_TARGET: Final = (414, f"path and query may have {TARGET} bytes")
_MALFORMED: Final = (400, "this is no valid HTTP/1.1 request")
_STALLED: Final = 1.0
"""Seconds after which a client that takes nothing of an answer counts as idle."""
_LATE: Final = (408, "the request did not arrive in time")


class Protocol(HttpToolsProtocol):
    """One connection.

    The first byte of a request and its head have to arrive within `head_timeout` each, its body within `body_timeout`,
    in seconds; a client that takes nothing of an answer for `stall_timeout` is cut off. Refusals are problem documents.
    """

    cycle: RequestResponseCycle | None  # type: ignore[assignment]  # None before the first request, whatever uvicorn says

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
        self._bare = 0
        """Bytes since the parser last found the end of a head or a part of a body."""
        self._fed = 0
        """Bytes that came last, with which several heads may be complete."""
        self._in_head = False
        self._deaf = False
        """Whether what the client still sends is thrown away."""
        self._ignored = 0
        """Bytes that were thrown away."""
        self._refusal = _MALFORMED
        self._deadline: TimerHandle | None = None
        """When the client must have sent what we wait for, if we wait."""
        self._stall: TimerHandle | None = None
        self._since = self.loop.time()
        """When the client was last waited for."""
        self._pipelined: list[RequestResponseCycle] = []
        """Requests that were not answered yet when others followed them."""

    @property
    def idle_since(self) -> float | None:
        """Return the event loop's time since which the client keeps us waiting; None while it is being served."""
        cycle = self.cycle
        if self._stall:
            return self._since if self._since + _STALLED < self.loop.time() else None
        if cycle is not None and not cycle.response_complete and not cycle.more_body:
            return None
        return self._since if self._deadline or self.timeout_keep_alive_task else None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]  # as uvicorn declares it
        """Wait for the first request."""
        super().connection_made(transport)
        self._wait(self.head_timeout)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell every request that was not answered; uvicorn tells only the last one."""
        super().connection_lost(exc)
        self._relax()
        if self._stall:
            self._stall.cancel()
        self.pipeline.clear()
        for cycle in self._pipelined:
            _disconnect(cycle)

    def data_received(self, data: bytes) -> None:
        """Parse what came, and bound what is still to come."""
        if self._deaf:
            self._ignored += len(data)
            if self._ignored > _IGNORED:
                self.transport.abort()
            return
        self._fed = len(data)
        self._bare += self._fed
        super().data_received(data)
        if self._bare > HEAD and not self._deaf:
            self._refuse(*_LARGE_HEAD)
        cycle = self.cycle
        if self._in_head or cycle is None or cycle.response_complete or cycle.more_body:
            if self._deadline is None:
                in_body = not self._in_head and cycle is not None and not cycle.response_complete
                self._wait(self.body_timeout if in_body else self.head_timeout)
        elif self._deadline is not None:
            self._relax()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of the head."""
        super().on_message_begin()
        self._in_head = True
        if self._deadline is not None:
            self._relax()

    def on_headers_complete(self) -> None:
        """Refuse a head that is too large; else serve the request."""
        self._in_head = False
        if self._deadline is not None:
            self._relax()
        if len(self.url) > TARGET:
            self._fail(_LONG_TARGET)
        if wrong := self._wrong_host():
            self._fail((400, wrong))
        if len(self.pipeline) >= PIPELINED:
            raise HttpParserCallbackError  # those before it are answered, then the connection closes
        may_be_large = self._bare > HEAD or self._fed > HEAD
        if len(self.headers) > HEADERS or (may_be_large and self._head_size() > HEAD):
            self._fail(_LARGE_HEAD)
        self._bare = 0
        former = self.cycle
        super().on_headers_complete()
        if self.expect_100_continue and self.cycle is not None:
            self.cycle.__class__ = _Expecting  # uvicorn makes it itself
        self.headers = _TRAILERS
        if former is not None and not former.response_complete:
            self._pipelined = [cycle for cycle in self._pipelined if not cycle.response_complete] + [former]

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._bare = 0
        super().on_body(body)

    def on_response_complete(self) -> None:
        """Go on with the connection, or see that it closes."""
        self._since = self.loop.time()
        super().on_response_complete()
        if self.transport.is_closing():
            self._bound_close()

    def timeout_keep_alive_handler(self) -> None:
        """Close a connection that was not used again."""
        super().timeout_keep_alive_handler()
        self._bound_close()

    def pause_writing(self) -> None:
        """Wait for a client that reads slowly, but not for ever."""
        super().pause_writing()
        self._since = self.loop.time()
        self._stall = self.loop.call_later(self.stall_timeout, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on writing."""
        super().resume_writing()
        if self._stall:
            self._stall.cancel()
            self._stall = None

    def shutdown(self) -> None:
        """Close if idle, or after the answer; a request that has arrived and was not read yet is answered too."""
        idle = self.cycle is None or self.cycle.response_complete
        if not (idle and _unread(self.transport)):
            super().shutdown()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's own text
        """Answer what cannot be parsed, or was refused while it was parsed."""
        self._refuse(*self._refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """Answer as if no upgrade were asked for, and close: the parser is of no more use, and the log is not told."""
        if self.cycle is not None:
            self.cycle.keep_alive = False

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _wrong_host(self) -> str:
        values = [value.decode("latin-1") for name, value in self.headers if name == b"host"]
        if not values and self.parser.get_http_version() == "1.1":
            return "a request needs a Host"
        return peers.wrong_host(values)

    def _fail(self, refusal: tuple[int, str]) -> None:
        self._refusal = refusal
        raise HttpParserCallbackError

    def _late(self) -> None:
        self._deadline = None
        cycle = self.cycle
        if cycle is not None and cycle.response_complete:
            cycle = None
        if cycle and (self.flow.read_paused or self._in_head or not cycle.more_body):
            self._wait(self.head_timeout)  # not for the client: it has sent its part
        elif cycle or self._in_head:
            self._refuse(*_LATE)
        else:
            self.transport.close()
            self._bound_close()

    def _refuse(self, status: int, detail: str) -> None:
        """Answer with a problem document, after what was asked before, and close."""
        self._deaf = True
        self._relax()
        cycle = self.cycle
        if cycle is not None and not cycle.response_complete:
            if not cycle.more_body:
                cycle.keep_alive = False
                return
            _disconnect(cycle)
            if cycle.response_started:
                self.transport.close()
                self._bound_close()
                return
        if self.transport.is_closing():
            return
        self.transport.write(_problem(status, detail, self.server_state.default_headers))
        self.transport.write_eof()
        self._unset_keepalive_if_required()
        self.loop.call_later(_LINGER, self.transport.abort)

    def _wait(self, seconds: float) -> None:
        self._since = self.loop.time()
        self._deadline = self.loop.call_later(seconds, self._late)

    def _relax(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _bound_close(self) -> None:
        """Bound the time in which a client may take the rest of what it was sent."""
        if self.transport.get_write_buffer_size():
            self.loop.call_later(self.stall_timeout, self.transport.abort)


class _Nowhere(list[tuple[bytes, bytes]]):
    def append(self, _: tuple[bytes, bytes], /) -> None:
        """Throw it away."""


_TRAILERS: Final = _Nowhere()
"""Where trailers go: ASGI has no place for them, and uvicorn would add them to the headers, however many come."""


class _Expecting(RequestResponseCycle):
    """A request whose client expects 100 Continue before it sends the body.

    If the answer comes first, it may send that body or leave it out (RFC 9110, 10.1.1): then nobody could tell the body
    from the next request, so the answer closes the connection.
    """

    async def send(self, message: Any) -> None:
        """Send a part of the answer."""
        if message["type"] == "http.response.start" and self.waiting_for_100_continue:
            message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        await super().send(message)


def _disconnect(cycle: RequestResponseCycle) -> None:
    if not cycle.response_complete:
        cycle.disconnected = True
        cycle.message_event.set()


def _unread(transport: Transport) -> bool:
    """Tell whether something has arrived that the event loop has not read yet."""
    connection = transport.get_extra_info("socket")
    if connection is None or connection.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _problem(status: int, detail: str, headers: list[tuple[bytes, bytes]]) -> bytes:
    """Write a whole answer."""
    problem = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}
    body = json.dumps(problem).encode()
    own = [
        (b"content-type", b"application/problem+json"),
        (b"content-length", b"%d" % len(body)),
        (b"connection", b"close"),
    ]
    lines = [b"%s: %s\r\n" % header for header in [*(each for each in headers if each[0] != b"connection"), *own]]
    return b"".join([STATUS_LINE[status], *lines, b"\r\n", body])
