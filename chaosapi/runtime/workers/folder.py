"""The folder that the processes of one service share while it runs."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

_PREFIX: Final = "chaosapi-workers-"
_LOCK: Final = "lock"
"""Locked while the service runs; the kernel releases the lock also when the service is killed."""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Yield a new folder that only this user can read; remove it at the end.

    Folders of services that were killed are removed first. Raises OSError where no folder can be made.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove_if_left(folder)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        making = Path(name) / "making"
        with making.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            making.rename(Path(name) / _LOCK)  # under its final name the file is always locked
            yield Path(name)


def _remove_if_left(folder: Path) -> None:
    """Remove the folder of a service that has ended; raises OSError while it runs, or without access."""
    if folder.lstat().st_uid != os.getuid():
        return
    with (folder / _LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
