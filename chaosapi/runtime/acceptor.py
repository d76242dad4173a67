"""Accept connections, but never so many that the process runs out of file descriptors."""

import asyncio
import contextlib
import ctypes
import errno
import os
import resource
import socket
import struct
import sys
from collections.abc import Callable, Collection
from typing import Any, Final

_BATCH_SIZE: Final = 16
"""Connections accepted at once: workers share one queue, and no worker should empty it alone."""
_EVICTED_FRACTION: Final = 8
"""When descriptors are needed, one connection in this many is closed at once: sorting by idle time is slow."""
_RETRY_S: Final = 0.05
"""How long the acceptor pauses where the limit is reached and no connection is idle."""
_MAX_CONNECTIONS: Final = 32_768
"""A cap also where there are more descriptors: each connection costs some 10 KiB."""
_MIN_CONNECTIONS: Final = 8
_SPARE_DESCRIPTORS: Final = 4
"""Descriptors reserved for connections that arrive when the process has no other left."""
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

# A BPF program: drop TCP segments that have SYN but not ACK, accept all others (byte 13 holds the flags).
_NO_SYN: Final = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
_SO_ATTACH_FILTER: Final = 26


def raise_limit() -> None:
    """Raise the soft limit of file descriptors to the hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS reports "unlimited" but allows less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_descriptors() -> int:
    """Return how many descriptors this process has open; 0 where the system has no /dev/fd."""
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - the number is enough
    except OSError:
        return 0


def connection_limit(share: float, used: int = 0) -> int:
    """Return how many connections this share of the free descriptors of the process allows."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(_MIN_CONNECTIONS, min(_MAX_CONNECTIONS, int((soft - used) * share)))


def drop_new_connections(bound: socket.socket) -> None:
    """Drop new connection attempts in the kernel (Linux); connections that have begun can still be accepted.

    Otherwise the kernel would reset the connections that it completes between the last accept and the close. A client
    that connects now gets no reply, retransmits its SYN after a second, and is refused by the closed port.
    """
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _NO_SYN))
    program = struct.pack("HP", len(_NO_SYN), ctypes.addressof(code))
    with contextlib.suppress(OSError):
        bound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


class Acceptor:
    """Accepts connections on a listening socket; has the methods that uvicorn uses of an asyncio server.

    At most `limit` connections are open at once. A further connection replaces those that have been idle the longest,
    by `idle_since` of their protocols: a client that has sent no request or only a part of one, or that does not read
    its response. Where no connection is idle, new ones wait in the kernel's queue. Reserved descriptors allow to accept
    also when the rest of the process has used up all others.
    """

    def __init__(
        self,
        bound: socket.socket,
        make: Callable[[], asyncio.Protocol],
        connections: Collection[Any],
        limit: int,
    ) -> None:
        self.sockets = (bound,)
        self._bound = bound
        self._make = make
        self._connections = connections
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._opening: set[asyncio.Task[Any]] = set()
        self._spare: list[int] = []
        self._paused: asyncio.TimerHandle | None = None
        self._closed = False
        bound.setblocking(False)
        self._loop.add_reader(bound, self._accept_waiting)

    def close(self) -> None:
        """Accept the connections that the kernel has completed, then stop listening."""
        if self._closed:
            return
        self._closed = True
        self._loop.remove_reader(self._bound)
        if self._paused:
            self._paused.cancel()
        with contextlib.suppress(OSError):
            while True:
                self._open(self._bound.accept()[0])
        self._bound.close()
        for fd in self._spare:
            os.close(fd)

    async def wait_closed(self) -> None:
        """Return when every accepted socket has its protocol."""
        if self._opening:
            await asyncio.wait(self._opening)

    def _accept_waiting(self) -> None:
        self._reserve_descriptors()
        for _ in range(_BATCH_SIZE):
            if len(self._connections) + len(self._opening) >= self._limit:
                self._make_room()
                return
            try:
                connection, _ = self._bound.accept()
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    return  # another worker was faster, or the client has disconnected
                if not self._spare:
                    self._make_room()
                    return
                os.close(self._spare.pop())
            else:
                self._open(connection)

    def _open(self, connection: socket.socket) -> None:
        task = self._loop.create_task(self._connect(connection))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connect(self, connection: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._make, connection)
        except OSError:  # the client has disconnected
            connection.close()

    def _make_room(self) -> None:
        """Close the connections that have been idle the longest; where no connection is idle, pause."""
        idle = [(since, each) for each in self._connections if (since := each.idle_since) is not None]
        idle.sort(key=lambda pair: pair[0])
        for _, connection in idle[: max(1, self._limit // _EVICTED_FRACTION)]:
            connection.transport.abort()
        if not idle:
            self._loop.remove_reader(self._bound)
            self._paused = self._loop.call_later(_RETRY_S, self._resume)

    def _resume(self) -> None:
        self._loop.add_reader(self._bound, self._accept_waiting)

    def _reserve_descriptors(self) -> None:
        with contextlib.suppress(OSError):
            while len(self._spare) < _SPARE_DESCRIPTORS:
                self._spare.append(os.open(os.devnull, os.O_RDONLY))
