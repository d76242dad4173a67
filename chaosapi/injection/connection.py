"""The connection of one request, below HTTP: close or reset it, and detect a disconnect."""

import socket
import struct
from typing import Any, Protocol

from starlette.types import Send

_LINGER_OFF = struct.pack("ii", 1, 0)
_ESTABLISHED = 1
"""The state of an open TCP connection in `struct tcp_info` (linux/tcp.h)."""


class Droppable(Protocol):
    """What an effect may close: the connection of a request, or of a call to a dependency."""

    @property
    def reachable(self) -> bool:
        """Whether `drop` works: not every server gives access to its connections."""

    def drop(self, *, reset: bool) -> None:
        """Close the connection and discard the rest of the response; with `reset`, send a TCP RST."""


class Connection(Droppable, Protocol):
    """The connection of one request and its response."""

    def closed(self) -> bool:
        """Return whether either side has closed the connection."""

    def started(self) -> bool:
        """Return whether the server can no longer answer by itself, because the app has started a response."""

    def lost(self) -> bool:
        """Return whether the client has disconnected; if so, let the app notice it."""

    def awaits_continue(self) -> bool:
        """Return whether the client waits for 100 Continue, or a final response, before it sends the body."""


class UvicornConnection:
    """A connection under uvicorn, reached through the request's cycle: the object that `send` is a method of.

    uvicorn reports a disconnect only to the newest of several pipelined requests (`connection_lost` reads `self.cycle`
    alone), and it stops reading while such requests wait, so it may not see the disconnect at all. Therefore this class
    checks the socket and marks the cycle as disconnected: then `receive` returns `http.disconnect`, `send` discards its
    messages, and a request that ends without a response is no error.
    """

    reachable = True

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle

    def drop(self, *, reset: bool) -> None:
        """Close or reset the connection."""
        _close(self._cycle.transport, reset=reset)
        self._disconnect()

    def closed(self) -> bool:
        """Return whether either side has closed the connection."""
        transport = self._cycle.transport
        if transport.is_closing():
            return True
        return not transport.is_reading() and _closed_by_peer(transport.get_extra_info("socket"))

    def started(self) -> bool:
        """Return whether a response was started, also with a malformed head, which uvicorn does not send."""
        return bool(self._cycle.response_started)

    def lost(self) -> bool:
        """Return whether the client has disconnected; if so, mark the cycle as disconnected."""
        if not self.closed():
            return False
        if not self._cycle.transport.is_closing():
            self._cycle.transport.close()
        self._disconnect()
        return True

    def awaits_continue(self) -> bool:
        """Return whether the client waits for 100 Continue: a final response then has to close the connection.

        The client may send the body after it or leave it out (RFC 9110, 10.1.1), and the server cannot distinguish the
        body from the next request.
        """
        return bool(self._cycle.waiting_for_100_continue)

    def _disconnect(self) -> None:
        self._cycle.disconnected = True
        self._cycle.message_event.set()


class UnknownConnection:
    """A connection that the server does not expose: only `receive` reports a disconnect, and nothing can close it."""

    @property
    def reachable(self) -> bool:
        """Whether `drop` works: False."""
        return False

    def drop(self, *, reset: bool) -> None:
        """Do nothing: effects look at `reachable` first."""

    def closed(self) -> bool:
        """Return False: the state of the connection is unknown."""
        return False

    def started(self) -> bool:
        """Return False: other servers answer 500 where the app sends a malformed head."""
        return False

    def lost(self) -> bool:
        """Return False: the state of the connection is unknown."""
        return False

    def awaits_continue(self) -> bool:
        """Return False: the server takes care of it."""
        return False


class HypercornConnection(UnknownConnection):
    """A connection under Hypercorn, whose workers hear of a shutdown by an event, not by a signal."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    @property
    def reachable(self) -> bool:
        """Whether it can be closed: with HTTP/2, other requests need it."""
        return self._transport() is not None

    def drop(self, *, reset: bool) -> None:
        """Close or reset the connection."""
        transport = self._transport()
        if transport is None:
            super().drop(reset=reset)
        else:
            _close(transport, reset=reset)

    def closed(self) -> bool:
        """Return whether either side has closed the connection or the stream."""
        transport = self._transport()
        return bool(self._stream.closed or (transport is not None and transport.is_closing()))

    def lost(self) -> bool:
        """Return whether the client has disconnected, or the server is stopping and waits for its requests."""
        return bool(self.closed() or self._stream.context.terminated.is_set())

    def _transport(self) -> Any:
        """Return the transport of an HTTP/1 connection; None with HTTP/2."""
        protocol: Any = getattr(self._stream.send, "__self__", None)
        if type(protocol).__name__ != "H11Protocol":
            return None
        server = getattr(protocol.send, "__self__", None)
        return getattr(getattr(server, "writer", None), "transport", None)


_UNKNOWN = UnknownConnection()


def connection_of(send: Send) -> Connection:
    """Return the connection of a request, by the `send` of its server."""
    server = getattr(send, "__self__", None)
    # For every request: a loop over the names would take three times as long.
    if (
        hasattr(server, "transport")
        and hasattr(server, "message_event")
        and hasattr(server, "waiting_for_100_continue")
    ):
        return UvicornConnection(server)
    if hasattr(getattr(server, "context", None), "terminated"):
        return HypercornConnection(server)
    return _UNKNOWN


def _close(transport: Any, *, reset: bool) -> None:
    """Close a connection.

    With `reset`, SO_LINGER 0 discards unsent data and sends a RST (socket(7)). Otherwise the data that was written
    still arrives, then a FIN.
    """
    if not reset:
        transport.close()
        return
    connected = transport.get_extra_info("socket")
    if connected is not None and connected.fileno() >= 0:  # -1: already closed
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
    transport.abort()


def _closed_by_peer(connected: Any) -> bool:
    """Return whether the client has closed or reset a TCP connection that the event loop does not read."""
    if connected is None or not hasattr(socket, "TCP_INFO"):
        return False
    try:
        return bool(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED)
    except OSError:  # not TCP, or closed
        return False
