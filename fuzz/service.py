"""The service that is attacked: its processes, its ports, its log, and what it has in its hands."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any, Final, NamedTuple

import psutil

HOST: Final = "127.0.0.1"
PATIENCE: Final = 60.0
MEANT: Final = frozenset({"InjectedError", "ClientDisconnect"})
"""Exceptions in the log that a fault means."""


class Held(NamedTuple):
    """The resources of the service's processes: resident bytes, file descriptors, threads."""

    rss: int
    fds: int
    threads: int


class Reply(NamedTuple):
    """An answer, its parsed JSON where it is any, the milliseconds it took, and the faults that it names."""

    status: int
    content: Any
    took: float
    faults: str


class NotStartedError(RuntimeError):
    """The service ended before it served."""


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    log: Path
    users: int
    """The port of the shop."""
    admin: int
    """The port of the control plane; the same where they share one."""
    _read: int = field(default=0)

    def call(self, method: str, path: str, body: Any = None, *, port: int = 0, patience: float = PATIENCE) -> Reply:
        """Make one request on a connection of its own; raises OSError or HTTPException where no answer comes."""
        connection = HTTPConnection(HOST, port or self.admin, timeout=patience)
        content = None if body is None else json.dumps(body).encode()
        begun = time.perf_counter()
        try:
            connection.request(method, path, content, {"content-type": "application/json"} if content else {})
            answer = connection.getresponse()
            text = answer.read()
            faults = answer.headers.get("x-chaos-fault", "")
        finally:
            connection.close()
        took = 1000 * (time.perf_counter() - begun)
        found = json.loads(text) if text[:1] in {b"{", b"["} else text.decode()
        return Reply(answer.status, found, took, faults)

    def metric(self, name: str) -> float:
        """Return the sum of a metric's samples."""
        text = self.call("GET", "/metrics").content
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))

    def alive(self) -> bool:
        """Return whether the process that was started still runs."""
        return self.process.poll() is None

    def family(self) -> list[psutil.Process]:
        """Return the process and its children, workers for example."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def held(self) -> Held:
        """Return what all its processes hold together."""
        rss = 0
        fds = 0
        threads = 0
        for process in self.family():
            with suppress(psutil.NoSuchProcess), process.oneshot():
                rss += process.memory_info().rss
                fds += process.num_fds()
                threads += process.num_threads()
        return Held(rss, fds, threads)

    def strange(self) -> list[str]:
        """Return the lines of the log, since the last call, that no fault means."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return [line for line in whole.decode(errors="replace").splitlines() if line and not _meant(line)]


def _meant(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    kinds = [each["exc_type"] for each in entry.get("exception", [])]
    if kinds:
        return not MEANT.isdisjoint(kinds)
    return entry["level"] in {"info", "debug", "warning"}


LEASH: Final = ("setpriv", "--pdeathsig", "KILL")
"""Ends a process with the thread that started it, so that nothing stays when a machine is killed."""


def command(python: str, *, apart: bool, workers: int = 1, port: int = 0, admin_port: int = 0) -> list[str]:
    """Return the command line of a service; `apart` gives the control plane a port of its own."""
    ports = ["--port", str(port), *(["--admin-port", str(admin_port)] if apart else [])]
    return [python, "-m", "chaosapi", "serve", *ports, "--workers", str(workers)]


def start(line: Sequence[str], folder: Path, settings: Mapping[str, str], *, wait: float = 60.0) -> Service:
    """Start a service with free ports in a folder; raises NotStartedError with its log where it does not come up."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CHAOSAPI_")}
    environment = {**own, "CHAOSAPI_LOG_FORMAT": "json", "CHAOSAPI_ACCESS_LOG": "false", **settings}
    number = len(list(folder.glob("service-*.log")))
    log = folder / f"service-{number}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*LEASH, *line], stdout=out, stderr=subprocess.STDOUT, env=environment, cwd=folder, start_new_session=True
        )
    deadline = time.monotonic() + wait
    apart = "--admin-port" in line
    while not (found := ports(log.read_text(errors="replace"), apart=apart)):
        if process.poll() is not None or time.monotonic() > deadline:
            stop(process)
            raise NotStartedError(log.read_text(errors="replace")[-2000:])
        time.sleep(0.03)
    return Service(process, log, *found)


def ports(text: str, *, apart: bool) -> tuple[int, int] | None:
    """Return the ports of the users and of the control plane, once the log names them."""
    users = re.search(r"Uvicorn running on http://[\w.]+:(\d+)", text)
    admin = re.search(r'"url": ?"http://[\w.]+:(\d+)"', text) if apart else users
    return (int(users[1]), int(admin[1])) if users and admin else None


def stop(process: subprocess.Popen[bytes], patience: float = 20.0) -> int | None:
    """Ask a service to stop; after the patience, kill all its processes. Return its exit status, None if killed."""
    family = []
    with suppress(psutil.NoSuchProcess):
        family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    try:
        status = process.wait(patience)
    except subprocess.TimeoutExpired:
        status = None
        process.kill()
        process.wait()
    for child in family:
        with suppress(psutil.NoSuchProcess):
            child.kill()
    return status


@contextmanager
def running(
    folder: Path, settings: Mapping[str, str], *, python: str = sys.executable, apart: bool = True, workers: int = 1
) -> Iterator[Service]:
    """Run a service for as long as the block lasts."""
    service = start(command(python, apart=apart, workers=workers), folder, settings)
    try:
        yield service
    finally:
        stop(service.process)


def answered(service: Service, method: str, path: str, patience: float = 5.0) -> Reply | None:
    """Return the answer of one request, None where none came in time."""
    try:
        return service.call(method, path, patience=patience)
    except (OSError, HTTPException, ValueError):
        return None
