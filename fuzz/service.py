"""The attacked service: its processes, ports, log and resources."""

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

from fuzz.grammar import EXCEPTION

HOST: Final = "127.0.0.1"
PATIENCE: Final = 60.0
_INJECTED: Final = ("RuntimeError", EXCEPTION)


class Resources(NamedTuple):
    """The resources of the service's processes: resident bytes, file descriptors, threads."""

    rss: int
    fds: int
    threads: int


class Reply(NamedTuple):
    """A response: status, parsed JSON or text, milliseconds, and the faults that the response names."""

    status: int
    content: Any
    took: float
    faults: str


class NotStartedError(RuntimeError):
    """The service ended before it was ready."""


@dataclass
class Service:
    """A running service."""

    process: subprocess.Popen[bytes]
    log: Path
    users: int
    """The port of the shop."""
    admin: int
    """The port of the control plane; the shop's port if they share one."""
    _read: int = field(default=0)

    def call(self, method: str, path: str, body: Any = None, *, port: int = 0, patience: float = PATIENCE) -> Reply:
        """Send one request on a new connection; raises OSError or HTTPException without a response."""
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
        text = "".join(self.call("GET", page).content for page in ("/metrics", "/admin/metrics"))
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))

    def alive(self) -> bool:
        """Return whether the process still runs."""
        return self.process.poll() is None

    def family(self) -> list[psutil.Process]:
        """Return the process and its children, workers for example."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def resources(self) -> Resources:
        """Return the resources of all processes together."""
        rss = 0
        fds = 0
        threads = 0
        for process in self.family():
            with suppress(psutil.NoSuchProcess), process.oneshot():
                rss += process.memory_info().rss
                fds += process.num_fds()
                threads += process.num_threads()
        return Resources(rss, fds, threads)

    def unexpected_lines(self) -> list[str]:
        """Return the log lines since the last call that no fault explains."""
        with self.log.open("rb") as log:
            log.seek(self._read)
            text = log.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        return [line for line in whole.decode(errors="replace").splitlines() if line and not _is_expected(line)]


def _is_expected(line: str) -> bool:
    try:
        entry = json.loads(line)
    except ValueError:
        return False
    exceptions = [(each["exc_type"], each["exc_value"]) for each in entry.get("exception", [])]
    if exceptions:
        return _INJECTED in exceptions or any(kind == "ClientDisconnect" for kind, _ in exceptions)
    return entry["level"] in {"info", "debug", "warning"}


DIE_WITH_PARENT: Final = ("setpriv", "--pdeathsig", "KILL")
"""Kill a process when the thread that started it ends, so that no process outlives a killed fuzzer."""


def command(python: str, *, apart: bool, workers: int = 1, port: int = 0, admin_port: int = 0) -> list[str]:
    """Return the command line of a service; with `apart` the control plane has its own port."""
    ports = ["--port", str(port), *(["--admin-port", str(admin_port)] if apart else [])]
    return [python, "-m", "chaosapi", "serve", *ports, "--workers", str(workers)]


def start(line: Sequence[str], folder: Path, settings: Mapping[str, str], *, wait: float = 60.0) -> Service:
    """Start a service with free ports in a folder; raises NotStartedError with the log if it does not start."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("CHAOSAPI_")}
    environment = {**own, "CHAOSAPI_LOG_FORMAT": "json", "CHAOSAPI_ACCESS_LOG": "false", **settings}
    number = len(list(folder.glob("service-*.log")))
    log = folder / f"service-{number}.log"
    with log.open("ab") as out:
        process = subprocess.Popen(
            [*DIE_WITH_PARENT, *line],
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            start_new_session=True,
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
    """Return the ports of the shop and of the control plane; None until the log names them."""
    users = re.search(r"Uvicorn running on http://[\w.]+:(\d+)", text)
    admin = re.search(r'"url": ?"http://[\w.]+:(\d+)"', text) if apart else users
    return (int(users[1]), int(admin[1])) if users and admin else None


def stop(process: subprocess.Popen[bytes], patience: float = 20.0) -> int | None:
    """Stop a service; after the time-out, kill all its processes. Return its exit status, None if killed."""
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
    """Run a service until the block ends."""
    service = start(command(python, apart=apart, workers=workers), folder, settings)
    try:
        yield service
    finally:
        stop(service.process)


def answered(service: Service, method: str, path: str, patience: float = 5.0) -> Reply | None:
    """Return the response to one request; None without one in time."""
    try:
        return service.call(method, path, patience=patience)
    except (OSError, HTTPException, ValueError):
        return None
