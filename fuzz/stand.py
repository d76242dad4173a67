"""A service whose environment can be broken: replicas, workers, store, disk, clock, output, network."""

import contextlib
import os
import signal
import sqlite3
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import psutil
import redis

from fuzz import service as services
from fuzz.service import Reply, Service
from tests.failures import networks
from tests.failures.networks import Link, Network
from tests.store.conftest import RedisServer

Store = Literal["memory", "workers", "sqlite", "redis"]
STORES: Final[tuple[Store, ...]] = ("memory", "workers", "sqlite", "redis")
_CLOCK: Final = Path(__file__).parent / "clock"
_DISK: Final = "24m"
DESCRIPTORS: Final = 512
"""The file descriptor limit of each process of a service."""
SETTINGS: Final = {
    "CHAOSAPI_MARK_RESPONSES": "true",
    "CHAOSAPI_ACCESS_LOG": "true",
    "CHAOSAPI_MAX_CPU": "0.2",
    "CHAOSAPI_MAX_MEMORY": "64MiB",
}


@dataclass
class Replica:
    """One service of a stand: it can be frozen, killed and started again on the same ports."""

    number: int
    service: Service
    link: Link | None
    reader: "subprocess.Popen[bytes]"
    """The process that reads the replica's output."""
    clock: Path
    away: list[tuple[float, float]] = field(default_factory=list)
    """When the replica was frozen or dead, by the machine's monotonic clock."""

    def inside(self) -> AbstractContextManager[None]:
        """Enter the network namespace of the replica."""
        return self.link.host.entered() if self.link else nullcontext()

    def call(self, method: str, path: str, body: Any = None, *, users: bool = False, patience: float = 30.0) -> Reply:
        """Send one request; raises OSError or HTTPException without a response."""
        with self.inside():
            port = self.service.users if users else self.service.admin
            return self.service.call(method, path, body, port=port, patience=patience)

    def turn(self, seconds: float) -> None:
        """Set the error of the replica's clock."""
        with self.clock.open("r+b") as file:
            file.write(struct.pack("d", seconds))

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to all processes of the replica."""
        for process in self.service.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def workers(self) -> list[psutil.Process]:
        """Return the worker processes; none if the replica is one process."""
        return [each for each in self.service.family()[1:] if "chaosapi.runtime.workers" in " ".join(each.cmdline())]


class Stand:
    """Replicas on one store, with their files on a small disk if one can be mounted."""

    def __init__(
        self,
        store: Store,
        folder: Path,
        stack: ExitStack,
        *,
        apart: bool,
        python: str = sys.executable,
        cut: bool = False,
    ) -> None:
        self.store = store
        self.apart = apart
        self._python = python
        self._stack = stack
        self.disk = folder / "disk"
        self.disk.mkdir()
        self._logs = folder / "logs"
        self._logs.mkdir()
        self.small = _mount(self.disk, stack)
        self.network: Network | None = None
        count = 2 if store in {"sqlite", "redis"} else 1
        if cut and store == "redis" and not networks.missing():
            self.network = Network(count)
            stack.callback(self.network.close)
        self.redis = self._start_redis() if store == "redis" else None
        self.replicas = [self._replica(number) for number in range(count)]

    @property
    def name(self) -> str:
        """Return the name of the stand in tables."""
        return f"{self.store}, {'own' if self.apart else 'shared'} port"

    @property
    def url(self) -> str:
        """Return the URL of the store."""
        if self.store == "sqlite":
            return f"sqlite:///{self.disk}/faults.db"
        if self.redis:
            host = self.network.address if self.network else "127.0.0.1"
            return f"redis://{host}:{self.redis.port}/0"
        return "memory://"

    def _hub(self) -> AbstractContextManager[None]:
        return self.network.hub.entered() if self.network else nullcontext()

    @property
    def redis_folder(self) -> Path:
        """Return the folder with the data of Redis."""
        return self._logs / "redis"

    def _start_redis(self) -> RedisServer:
        folder = self.redis_folder
        folder.mkdir()
        arguments = ["--appendonly", "yes", "--appendfsync", "always", "--protected-mode", "no"]
        if self.network:
            arguments += ["--bind", self.network.address, "127.0.0.1"]
        with self._hub():
            server = RedisServer(folder, *arguments)
        self._stack.callback(server.kill)
        return server

    @contextmanager
    def redis_client(self) -> Iterator["redis.Redis"]:
        """Yield a new Redis client."""
        assert self.redis
        with self._hub(), redis.Redis(port=self.redis.port) as client:
            yield client

    def start_redis(self) -> None:
        """Start Redis again, with the data in its folder."""
        assert self.redis
        with self._hub():
            self.redis.start()

    def _replica(self, number: int) -> Replica:
        clock = self._logs / f"clock-{number}"
        clock.write_bytes(struct.pack("d", 0.0))
        log = (self._logs / f"output-{number}.log").open("ab")
        with log:
            reader = subprocess.Popen(
                [*services.DIE_WITH_PARENT, "cat"], stdin=subprocess.PIPE, stdout=log, start_new_session=True
            )
        self._stack.callback(_stop_reader, reader)
        link = self.network.links[number] if self.network else None
        service = self._serve(number, reader, link, 0, 0)
        replica = Replica(number, service, link, reader, clock)
        self._stack.callback(lambda: services.stop(replica.service.process))
        return replica

    def _serve(
        self, number: int, reader: "subprocess.Popen[bytes]", link: Link | None, users: int, admin: int
    ) -> Service:
        """Start a service whose output goes through the reader, and wait until its log names its ports."""
        log = self._logs / f"output-{number}.log"
        begin = log.stat().st_size
        settings = {
            **SETTINGS,
            **{name: value for name, value in os.environ.items() if not name.startswith("CHAOSAPI_")},
            "CHAOSAPI_STORE": self.url,
            "CHAOSAPI_LOG_FORMAT": "json",
            "PYTHONPATH": str(_CLOCK),
            "CLOCK_FILE": str(self._logs / f"clock-{number}"),
            "TMPDIR": str(self.disk),
        }
        line = services.command(
            self._python, apart=self.apart, workers=2 if self.store == "workers" else 1, port=users, admin_port=admin
        )
        prefix = [*services.DIE_WITH_PARENT, "prlimit", f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]
        with link.host.entered() if link else nullcontext():
            process = subprocess.Popen(
                [*prefix, *line],
                stdout=reader.stdin,
                stderr=subprocess.STDOUT,
                env=settings,
                cwd=self._logs,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not (found := services.ports(_tail(log, begin), apart=self.apart)):
            if process.poll() is not None or time.monotonic() > deadline:
                services.stop(process)
                raise services.NotStartedError(_tail(log, begin)[-2000:])
            time.sleep(0.03)
        return Service(process, log, *found)

    def kill(self, replica: Replica) -> None:
        """Kill all processes of a replica."""
        replica.signal(signal.SIGKILL)
        replica.service.process.wait()

    def restart(self, replica: Replica) -> None:
        """Start a killed replica on its former ports."""
        before = replica.service
        replica.service = self._serve(replica.number, replica.reader, replica.link, before.users, before.admin)

    def output(self, replica: Replica) -> str:
        """Return the whole output of a replica."""
        return (self._logs / f"output-{replica.number}.log").read_text(errors="replace")

    # Troubles that touch no process.

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        """Fill the disk of the store and of temporary files; take all memory from Redis."""
        filler = self.disk / "filler"
        try:
            if self.small:
                _fill(filler)
            if self.redis:
                with contextlib.suppress(redis.RedisError), self.redis_client() as client:
                    client.config_set("maxmemory", 1)
            yield
        finally:
            filler.unlink(missing_ok=True)
            if self.redis:
                with contextlib.suppress(redis.RedisError), self.redis_client() as client:
                    client.config_set("maxmemory", 0)

    def make_unreadable(self) -> bool:
        """Make the stored state unreadable; return whether there is a stored state."""
        if self.redis:
            with self.redis_client() as client:
                for key in _keys(client):
                    _corrupt_key(client, key)
            return True
        files = [*self.disk.glob("faults.db"), *self.disk.glob("**/faults.sqlite")]
        for file in files:
            with contextlib.closing(sqlite3.connect(file, timeout=10)) as database, database:
                _corrupt_table(database, "state")
        return bool(files)

    def replace_keys(self) -> None:
        """Replace every key of Redis by one of another type."""
        with self.redis_client() as client:
            for key in _keys(client):
                kind = client.type(key)
                with client.pipeline() as pipe:  # in one transaction: the service writes concurrently
                    pipe.delete(key)
                    pipe.rpush(key, b"\xff\xfe garbage") if kind != b"list" else pipe.set(key, b"[[[[")
                    pipe.execute()


def _keys(client: "redis.Redis") -> list[Any]:
    return list(client.scan_iter())


def _corrupt_key(client: "redis.Redis", key: bytes) -> None:
    kind = client.type(key)
    if kind == b"string":
        client.set(key, b'{"faults": [[[[ \xff')
    elif kind == b"hash":
        for name, value in client.hgetall(key).items():
            if not value.isdigit():
                client.hset(key, name, b'{"faults": [[[[ \xff')


def _corrupt_table(database: sqlite3.Connection, table: str) -> None:
    columns = database.execute(f"PRAGMA table_info({table})").fetchall()
    for _, name, kind, *_ in columns:
        if kind.upper() in {"TEXT", "BLOB"}:
            database.execute(f"UPDATE {table} SET {name} = ?", ('{"faults": [[[[',))  # noqa: S608 - names from the schema


def _fill(filler: Path) -> None:
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"\0" * size) == size:
                    pass


def _mount(folder: Path, stack: ExitStack) -> bool:
    """Mount a small disk; return whether that succeeded."""
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK},mode=700", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if made.returncode:
        return False
    stack.callback(subprocess.run, ["umount", "-l", str(folder)], check=False)
    return True


def _tail(log: Path, begin: int) -> str:
    with log.open("rb") as file:
        file.seek(begin)
        return file.read().decode(errors="replace")


def _stop_reader(reader: "subprocess.Popen[bytes]") -> None:
    reader.send_signal(signal.SIGCONT)
    if reader.stdin:
        with contextlib.suppress(OSError):
            reader.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        reader.wait(5)
    reader.kill()
    reader.wait()
