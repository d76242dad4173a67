"""The workers of another server than `chaosapi serve` share a folder, in which each of them has a slot.

The folder is named after the server. A worker holds a lock on its slot; the kernel releases the lock when the worker
ends, however it ends, and the worker that replaces it takes the same slot. The last worker that stops removes the
folder; where all were killed, the next service that starts on this machine does.
"""

import asyncio
import fcntl
import os
import socket
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final

from chaosapi.runtime.kill_flags import SIZE, SLOTS, KillFlags
from chaosapi.runtime.workers import folder as folders
from chaosapi.runtime.workers import handover
from chaosapi.runtime.workers.handover import Offer
from chaosapi.runtime.workers.servers import WorkerServer, children_of, exists
from chaosapi.telemetry.multiprocess import mark_process_dead

_SWEEP_INTERVAL_S: Final = 1.0
_FLAGS: Final = "kill-flags"
_LEFT: Final = "left-"


class Membership:
    """A worker's slot among the workers of its server, from `join` until `leave`."""

    def __init__(self, server: WorkerServer, folder: Path, shared: BinaryIO) -> None:
        """Take the first free slot; raises RuntimeError where there is none."""
        self.folder = folder
        self._server = server
        self._shared = shared
        with _alone_in(folder):
            self.first = not any(_is_held(path) for path in folder.glob("slot-*"))
            """Whether no other worker was running."""
            self.slot, self._held = _take_slot(folder)
            mark_process_dead(folder, self.slot)  # the predecessor's gauges, if it was killed
            self.kill_flags = _attach_flags(folder, self.slot)
            _leave_marker(folder).unlink(missing_ok=True)  # of a process that had this id before
        self._offers: list[Offer] = []

    async def run(self) -> None:
        """Delete the gauges of workers that were killed, and the markers of those that have ended, until cancelled."""
        while True:
            await asyncio.sleep(_SWEEP_INTERVAL_S)
            await asyncio.to_thread(self._sweep)

    def share(self, host: str, port: int, listen: Callable[[], socket.socket]) -> socket.socket:
        """Return the socket that all workers listen with on an address; the first one calls `listen` to make it."""
        with _alone_in(self.folder):
            bound = handover.ask(self.folder, host, port) or listen()
            self._offers.append(Offer(bound, self.folder, host, port, self.slot))
        return bound

    def leave(self) -> None:
        """Give up the slot; remove the folder where no other worker is left."""
        for offer in self._offers:
            offer.close()
        if self._held.closed:
            return
        with suppress(OSError), _alone_in(self.folder):
            mark_process_dead(self.folder, self.slot)
            _leave_marker(self.folder).touch()
            self._held.close()
        self._held.close()
        self._shared.close()
        with suppress(OSError):
            if not self._has_successors():
                folders.remove_if_left(self.folder)

    def _has_successors(self) -> bool:
        """Return whether the server has started workers that have not joined yet."""
        if not self._server.overlaps:
            return False
        return any(not _leave_marker(self.folder, pid).exists() for pid in children_of(self._server.parent))

    def _sweep(self) -> None:
        with suppress(OSError, ValueError), _alone_in(self.folder) as slots:
            # Locks look unused for days: systemd-tmpfiles would remove them, and two workers could take one slot.
            for file in (slots.fileno(), self._held.fileno(), self._shared.fileno(), self.folder / _FLAGS):
                os.utime(file)
            for path in self.folder.glob("slot-*"):
                number = int(path.name.partition("-")[2])
                if number != self.slot and not _is_held(path):
                    mark_process_dead(self.folder, number)
            for marker in self.folder.glob(f"{_LEFT}*"):
                if not exists(int(marker.name.removeprefix(_LEFT))):
                    marker.unlink()


def join(server: WorkerServer) -> Membership:
    """Become a member of the server's workers; raises OSError or RuntimeError where the folder cannot be used.

    Folders of services that have ended are removed first.
    """
    folders.remove_left()
    folder = folders.folder_of(server.key)
    while True:
        folder.mkdir(0o700, exist_ok=True)
        found = folder.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
            raise RuntimeError(f"{folder} belongs to another user: remove it, or set TMPDIR to another folder")
        with suppress(FileNotFoundError):  # removed since
            (folder / folders.OWNER).write_text(server.parent)
            shared = (folder / folders.LOCK).open("ab+")
            fcntl.flock(shared, fcntl.LOCK_SH)
            if folders.is_current(folder, shared):
                return Membership(server, folder, shared)
            shared.close()


@contextmanager
def _alone_in(folder: Path) -> Iterator[BinaryIO]:
    """Hold and yield the lock under which slots change hands; raises OSError where the folder is not there any more."""
    with (folder / "slots").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock


def _leave_marker(folder: Path, pid: int | None = None) -> Path:
    """Return the file that shows that a worker, by default this one, has left its slot and is about to end."""
    return folder / f"{_LEFT}{os.getpid() if pid is None else pid}"


def _take_slot(folder: Path) -> tuple[int, BinaryIO]:
    for number in range(SLOTS):
        file = (folder / f"slot-{number}").open("ab+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
        else:
            return number, file
    raise RuntimeError(f"more than {SLOTS} workers cannot share faults and metrics: start fewer")


def _is_held(path: Path) -> bool:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _attach_flags(folder: Path, slot: int) -> KillFlags:
    with (folder / _FLAGS).open("ab+") as file:
        file.write(bytes(max(0, SIZE - file.seek(0, os.SEEK_END))))  # its pages are allocated now, not at first use
        file.flush()
        return KillFlags.attach(file.fileno(), slot)
