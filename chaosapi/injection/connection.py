"""The connection of one request, below HTTP: breaking it, and noticing that it is lost."""

import functools
import logging
import socket
import struct
from typing import Any, Protocol

_LINGER_OFF = struct.pack("ii", 1, 0)
_ESTABLISHED = 1
"""The state of an open TCP connection in `struct tcp_info` (linux/tcp.h)."""


class Drop(Protocol):
    """Breaks what carries an answer."""

    def __call__(self, *, reset: bool) -> None:
        """Close it, or reset it."""


class Connection(Protocol):
    """What carries one request and its answer."""

    def drop(self, *, reset: bool) -> None:
        """Close the connection without what is still due of the answer; with `reset` the client sees a TCP RST."""

    def lost(self) -> bool:
        """Tell whether the client has left."""


class UvicornConnection:
    """A connection under uvicorn, seen through the request's cycle: the object whose method `send` is.

    uvicorn itself reports a lost connection only to the newest of several pipelined requests (`connection_lost` looks
    at `self.cycle` alone), and it stops reading while such requests wait, which hides the loss from it altogether. So
    the loss is looked up here, and the cycle is told: then its `receive` gives `http.disconnect`, its `send` discards,
    and its end without an answer is no error.
    """

    def __init__(self, cycle: Any) -> None:
        self._cycle = cycle

    def drop(self, *, reset: bool) -> None:
        """Close the connection.

        With `reset`, SO_LINGER 0 throws away what was not sent (socket(7)). Otherwise what was written still arrives,
        and then the end.
        """
        transport = self._cycle.transport
        if reset:
            connected = transport.get_extra_info("socket")
            if connected is not None and connected.fileno() >= 0:  # below: the client was faster
                connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_OFF)
            transport.abort()
        else:
            transport.close()
        self._disconnect()

    def lost(self) -> bool:
        """Tell whether the client has left, and tell the cycle."""
        transport = self._cycle.transport
        if not transport.is_closing():
            if transport.is_reading() or not _closed_by_peer(transport.get_extra_info("socket")):
                return False
            transport.close()
        self._disconnect()
        return True

    def _disconnect(self) -> None:
        self._cycle.disconnected = True
        self._cycle.message_event.set()


class UnknownConnection:
    """A connection that the server does not show: it cannot be broken, and only `receive` tells of its loss."""

    def drop(self, *, reset: bool) -> None:
        """Leave the request unanswered instead; the first time a warning says so."""
        _warn_once()

    def lost(self) -> bool:
        """Return False: nobody can tell."""
        return False


_CYCLE = ("transport", "disconnected", "message_event")


def connection_of(server: object) -> Connection:
    """Return the connection behind the object whose method the server's own `send` is."""
    return UvicornConnection(server) if all(hasattr(server, name) for name in _CYCLE) else UnknownConnection()


def _closed_by_peer(connected: Any) -> bool:
    """Tell whether the client has closed or reset a TCP connection that nobody reads from."""
    if connected is None or not hasattr(socket, "TCP_INFO"):
        return False
    try:
        return bool(connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] != _ESTABLISHED)
    except OSError:  # not TCP, or gone
        return False


@functools.cache
def _warn_once() -> None:
    logging.getLogger(__name__).warning("this server hides its connections: requests are left unanswered instead")
