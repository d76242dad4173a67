"""Accepts connections, so many at most that descriptors are left for whatever else must work."""

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
"""Connections accepted at once: workers share a queue, and none of them should take all of it."""
_EVICTED_FRACTION: Final = 8
"""One in so many connections is given up at once where room is needed: looking for the idlest takes its time."""
_RETRY_S: Final = 0.05
"""Seconds before the next try where there is neither room nor an idle connection."""
_MAX_CONNECTIONS: Final = 32_768
"""Connections at once, however many descriptors there may be: each costs some 10 KiB."""
_MIN_CONNECTIONS: Final = 8
_SPARE_DESCRIPTORS: Final = 4
"""Descriptors kept in hand for connections that come when the process has none left."""
_EXHAUSTED: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}

# For the kernel: drop TCP segments that have SYN but not ACK, take all others (byte 13 are the flags).
_NO_SYN: Final = ((0x30, 0, 0, 13), (0x54, 0, 0, 0x12), (0x15, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
_SO_ATTACH_FILTER: Final = 26


def raise_limit() -> None:
    """Allow this process as many descriptors as the system lets it have."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        with contextlib.suppress(ValueError, OSError):  # macOS says "unlimited" and means less
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def open_descriptors() -> int:
    """Return how many descriptors this process has open; 0 where the system does not tell."""
    try:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - names alone
    except OSError:
        return 0


def connection_limit(share: float, used: int = 0) -> int:
    """Return how many connections may have this share of the descriptors of the process, beyond those in use."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return _MAX_CONNECTIONS
    return max(_MIN_CONNECTIONS, min(_MAX_CONNECTIONS, int((soft - used) * share)))


def drop_new_connections(bound: socket.socket) -> None:
    """Let no new connection begin (Linux): what the kernel has completed or begun can still be accepted.

    Otherwise the kernel would reset the connections that it completes between the last accept and the close. A client
    that comes now gets no answer and tries again after a second, when nobody listens any more.
    """
    if sys.platform != "linux":
        return
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in _NO_SYN))
    program = struct.pack("HP", len(_NO_SYN), ctypes.addressof(code))
    with contextlib.suppress(OSError):
        bound.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, program)


class Acceptor:
    """Accepts on a listening socket, as uvicorn's Server does with asyncio's; it looks the same to uvicorn.

    At most `limit` connections are open at once. Where another one comes, those that have been idle the longest give
    way, as `idle_since` of their protocols tells: they have sent no request, or only a part of one, or take nothing of
    their answers. Where all are being served, new ones wait in the kernel's queue. Descriptors that are kept in hand
    let it accept even where others have used up all there are.
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
        """Accept what the kernel has completed already, then stop listening."""
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
        """Return when everything accepted is a connection."""
        if self._opening:
            await asyncio.wait(self._opening)

    def _accept_waiting(self) -> None:
        """Accept some of those who wait."""
        self._reserve_descriptors()
        for _ in range(_BATCH_SIZE):
            if len(self._connections) + len(self._opening) >= self._limit:
                self._make_room()
                return
            try:
                connection, _ = self._bound.accept()
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    return  # another worker was faster, or the client has left
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
        except OSError:  # it has left already
            connection.close()

    def _make_room(self) -> None:
        """Close the connections that have been idle the longest; if there are none, wait a moment."""
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
        """Keep descriptors in hand."""
        with contextlib.suppress(OSError):
            while len(self._spare) < _SPARE_DESCRIPTORS:
                self._spare.append(os.open(os.devnull, os.O_RDONLY))
