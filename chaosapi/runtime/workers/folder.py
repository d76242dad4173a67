"""The folder that the processes of one service share while it runs."""

import fcntl
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, Final
from urllib.parse import quote

from chaosapi.runtime.workers.servers import is_running

_PREFIX: Final = "chaosapi-workers-"
_REMOVED: Final = f"{_PREFIX}removed-"
LOCK: Final = "lock"
"""Locked while the service runs; the kernel releases the lock also when the service is killed."""
OWNER: Final = "server"
"""In folders of other servers than `chaosapi serve`: the identity of the process that starts the workers."""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Yield a new folder that only this user can read; remove it at the end.

    Folders of services that were killed are removed first. Raises OSError where no folder can be made.
    """
    remove_left()
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        making = Path(name) / "making"
        with making.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            making.rename(Path(name) / LOCK)  # under its final name the file is always locked
            yield Path(name)


def folder_of(key: str) -> Path:
    """Return the path of the folder for the workers of a server."""
    return Path(tempfile.gettempdir()) / f"{_PREFIX}{os.getuid()}-{key}"


def shared_store(store: str, folder: Path) -> str:
    """Return the URL of the store that workers share: a file in the folder instead of the memory of one process."""
    return f"sqlite:///{quote(str(folder))}/faults.sqlite" if store.startswith("memory:") else store


def remove_left() -> None:
    """Remove the folders of services that have ended."""
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError, ValueError):
            # Read no file of another user: a FIFO would never end.
            if _is_own(folder) and not _starts_workers(folder):
                remove_if_left(folder)


def remove_if_left(folder: Path) -> None:
    """Remove the folder unless a process holds its lock; raises OSError while one does, or without access."""
    if not _is_own(folder):
        return
    if folder.name.startswith(_REMOVED):
        shutil.rmtree(folder)
        return
    with (folder / LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if is_current(folder, lock):
            # Not in place: another process may be about to use a folder of this name.
            shutil.rmtree(folder.rename(folder.with_name(_REMOVED + secrets.token_hex(8))))


def is_current(folder: Path, lock: BinaryIO) -> bool:
    """Return whether an open lock is the one that the folder has now."""
    try:
        return os.path.samestat((folder / LOCK).stat(), os.fstat(lock.fileno()))
    except FileNotFoundError:
        return False


def _is_own(folder: Path) -> bool:
    return folder.lstat().st_uid == os.getuid()


def _starts_workers(folder: Path) -> bool:
    """Return whether a server may start further workers that use the folder."""
    try:
        return is_running((folder / OWNER).read_text())
    except FileNotFoundError:
        return False
