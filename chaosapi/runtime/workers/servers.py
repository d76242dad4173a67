"""Detect the server of this process, and whether it runs other processes of the same app."""

import multiprocessing
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple

_START: Final = 19
"""The place of the start time in /proc/PID/stat, counted after the name (proc(5))."""


class WorkerServer(NamedTuple):
    """A server that runs several processes of one app."""

    key: str
    """The same in all of its processes, and in no others."""
    parent: str
    """The identity of the process that starts them."""
    overlaps: bool = False
    """Whether all of its children are workers, and it stops old ones while new ones start."""


def find_server() -> WorkerServer | None:
    """Return the server that runs this process as one of several workers; None for a process that serves alone.

    Call it in the thread that serves. Known are uvicorn, Hypercorn and Granian, whose workers are children of
    multiprocessing, gunicorn, which forks, and whatever passes a listening socket on, such as circus to `uvicorn --fd`.
    """
    parent = multiprocessing.parent_process()
    if parent is None:
        return _gunicorn() or _of_inherited_socket()
    if parent.pid is None or not _has_siblings(multiprocessing.current_process()):
        return None
    found = identity(parent.pid)
    return WorkerServer(f"process-{found}", found)


def identity(pid: int) -> str:
    """Return a text that no other process has, also not a later one with the same id (on Linux)."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2]
        namespace = os.stat("/proc/self/ns/pid").st_ino  # noqa: PTH116 - a number is needed, not a path
    except OSError:
        return f"{pid}-0-0"
    return f"{pid}-{after_name.split()[_START]}-{namespace}"


def is_running(process: str) -> bool:
    """Return whether the process of an identity is running; False for one of another container."""
    pid = int(process.partition("-")[0])
    return exists(pid) and identity(pid) == process


def exists(pid: int) -> bool:
    """Return whether a process of this id exists, also one that has ended and was not waited for."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    return True


def children_of(process: str) -> set[int]:
    """Return the ids of the running children of a process, given its identity (on Linux)."""
    parent = process.partition("-")[0]
    found = set()
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it has ended since
            state, its_parent = stat.read_text().rpartition(") ")[2].split()[:2]
            if its_parent == parent and state not in {"Z", "X"}:
                found.add(int(stat.parent.name))
    return found


def _has_siblings(worker: Any) -> bool:
    """Return whether a child of multiprocessing is one of several workers.

    uvicorn and Hypercorn pass their configuration to it. Granian passes no number of workers, and runs the next worker
    before the last one ends.
    """
    config: Any = getattr(worker, "_kwargs", {}).get("config")
    package = type(config).__module__.partition(".")[0]
    if package == "uvicorn":
        return bool(config.workers > 1 and not config.should_reload)
    if package == "hypercorn":
        return bool(config.workers > 1)
    return bool(worker.name == "granian-worker")


def _gunicorn() -> WorkerServer | None:
    """Return gunicorn's arbiter if this process is its worker.

    It may start further workers at any time, also from one that was executed anew (SIGUSR2): all accept connections
    from one socket.
    """
    base = sys.modules.get("gunicorn.workers.base")
    frame: FrameType | None = sys._getframe() if base else None  # noqa: SLF001 - the documented way to the stack
    while base and frame:
        worker = frame.f_locals.get("self")
        if isinstance(worker, base.Worker):
            return _of_socket(worker.sockets[0].fileno(), worker.ppid)._replace(overlaps=True)
        frame = frame.f_back
    return None


def _of_inherited_socket() -> WorkerServer | None:
    """Return the parent process if it has a socket open that this process listens on, and so may others (on Linux)."""
    parent = os.getppid()
    try:
        shared = _sockets(parent)
        listening = [fd for name, fd in _sockets(os.getpid()).items() if name in shared and _listens(fd)]
    except OSError:  # another user's process, or another system
        return None
    return _of_socket(min(listening), parent) if listening else None


def _of_socket(fd: int, parent: int) -> WorkerServer:
    found = os.fstat(fd)
    return WorkerServer(f"socket-{found.st_dev}-{found.st_ino}", identity(parent))


def _sockets(pid: int) -> dict[str, int]:
    """Return the descriptors of a process's sockets, by the names of the sockets; raises OSError."""
    found = {}
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):  # closed since
            found[os.readlink(entry)] = int(entry.name)  # noqa: PTH115 - the text is no path
    return {name: fd for name, fd in found.items() if name.startswith("socket:")}


def _listens(fd: int) -> bool:
    with suppress(OSError), socket.socket(fileno=os.dup(fd)) as shared:
        return bool(shared.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN))
    return False
