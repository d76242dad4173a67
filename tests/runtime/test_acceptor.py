"""Connections and file descriptors: real sockets in an event loop, and processes with few descriptors."""

import asyncio
import os
import resource
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import uvloop

from chaosapi.runtime.acceptor import Acceptor, connection_limit, drop_new_connections
from tests.patience import patience


class Line(asyncio.Protocol):
    """A connection that is idle, or has a request in progress."""

    def __init__(self, lines: "list[Line]", *, idle: bool) -> None:
        self.lines = lines
        self.idle = idle
        self.number = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.lines.append(self)
        self.number = len(self.lines)

    def connection_lost(self, _: Exception | None) -> None:
        self.lines.remove(self)

    @property
    def idle_since(self) -> float | None:
        return self.number if self.idle else None


@asynccontextmanager
async def accepting(lines: list[Line], limit: int, *, idle: bool) -> AsyncIterator[tuple[Acceptor, socket.socket]]:
    """Accept up to `limit` connections."""
    bound = socket.create_server(("127.0.0.1", 0))
    acceptor = Acceptor(bound, lambda: Line(lines, idle=idle), lines, limit)
    try:
        yield acceptor, bound
    finally:
        acceptor.close()
        await acceptor.wait_closed()
        for line in list(lines):
            line.transport.close()
        await until(lambda: not lines)


async def until(condition: Callable[[], object]) -> None:
    """Return once the condition holds."""
    async with asyncio.timeout(patience(30)):
        while not condition():
            await asyncio.sleep(0.001)


def run(part: Callable[[], Awaitable[None]]) -> None:
    """Run the scenario in the service's event loop."""

    async def whole() -> None:
        await part()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(whole())


def dial(bound: socket.socket, count: int) -> list[socket.socket]:
    """Connect clients."""
    return [socket.create_connection(bound.getsockname(), timeout=patience(30)) for _ in range(count)]


def hang_up(clients: list[socket.socket]) -> None:
    """Disconnect all clients."""
    for client in clients:
        client.close()


def test_idle_connections_are_closed_for_new_ones() -> None:
    """The longest idle ones first, and never more than the limit requires."""

    async def played() -> None:
        lines: list[Line] = []
        async with accepting(lines, 16, idle=True) as (_, bound):
            first = dial(bound, 16)
            await until(lambda: len(lines) == 16)
            late = dial(bound, 1)
            last = late[0].getsockname()
            await until(lambda: any(line.transport.get_extra_info("peername") == last for line in lines))
            assert len(lines) <= 16
            assert first[0].recv(1) == b""  # the one that waited longest
            hang_up([*first, *late])

    run(played)


def test_new_connections_wait_while_all_others_have_requests() -> None:
    """Until a client disconnects: no request in progress is cut off."""

    async def played() -> None:
        lines: list[Line] = []
        async with accepting(lines, 8, idle=False) as (_, bound):
            first = dial(bound, 8)
            await until(lambda: len(lines) == 8)
            late = dial(bound, 1)
            last = late[0].getsockname()
            before = list(lines)
            for _ in range(50):
                await asyncio.sleep(0.002)
                assert lines == before
            hang_up(first[:1])
            await until(lambda: any(line.transport.get_extra_info("peername") == last for line in lines))
            hang_up([*first, *late])

    run(played)


def test_connections_in_the_backlog_are_accepted_before_shutdown() -> None:
    """A client that is connected loses no request."""

    async def played() -> None:
        lines: list[Line] = []
        async with accepting(lines, 100, idle=True) as (acceptor, bound):
            clients = dial(bound, 50)  # the event loop has not looked yet
            acceptor.close()
            await acceptor.wait_closed()
            await until(lambda: len(lines) == 50)
            hang_up(clients)

    run(played)


def test_a_refusing_socket_accepts_no_connection() -> None:
    """It resets no established connection."""
    with socket.create_server(("127.0.0.1", 0)) as bound:
        (client,) = dial(bound, 1)
        drop_new_connections(bound)
        with pytest.raises(TimeoutError):
            socket.create_connection(bound.getsockname(), timeout=0.2)
        served, _ = bound.accept()
        with client, served:
            served.sendall(b"here")
            assert client.recv(4) == b"here"
            client.sendall(b"too")
            assert served.recv(4) == b"too"


def test_reserved_descriptors_serve_when_there_are_no_others() -> None:
    """Other code in the process has used all descriptors."""

    async def played() -> None:
        lines: list[Line] = []
        async with accepting(lines, 100, idle=True) as (_, bound):
            first = dial(bound, 1)
            await until(lambda: lines)
            clients = [socket.socket() for _ in range(3)]
            used = exhaust()
            try:
                for client in clients:
                    client.setblocking(False)
                    client.connect_ex(bound.getsockname())
                await until(lambda: len(lines) == 4)
            finally:
                for fd in used:
                    os.close(fd)
            hang_up([*first, *clients])

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        run(played)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def exhaust() -> list[int]:
    """Open files until no descriptor is left."""
    used: list[int] = []
    while True:
        try:
            used.append(os.open(os.devnull, os.O_RDONLY))
        except OSError:
            return used


def test_connections_get_a_share_of_the_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """A minimum, and no more than memory allows."""
    limits = {"soft": 1024}
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limits["soft"], 2**30))
    assert (connection_limit(3 / 4), connection_limit(1 / 8)) == (768, 128)
    assert connection_limit(3 / 4, used=24) == 750
    limits["soft"] = 16
    assert connection_limit(1 / 8) == 8
    limits["soft"] = 2**30
    assert connection_limit(1 / 8) == connection_limit(3 / 4) < 100_000
    limits["soft"] = resource.RLIM_INFINITY
    assert connection_limit(1 / 8) < 100_000
