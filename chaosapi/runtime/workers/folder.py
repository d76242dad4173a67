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
"""Held as long as the service lives; the kernel lets go of it, however that ends."""


@contextmanager
def shared_folder() -> Iterator[Path]:
    """Make a folder that only this user can look into, and remove it in the end.

    Folders of services that were killed are removed first. Raises OSError where none can be made.
    """
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError):
            _remove_if_left(folder)
    with tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        making = Path(name) / "making"
        with making.open("wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            making.rename(Path(name) / _LOCK)  # nobody finds it before it is held
            yield Path(name)


def _remove_if_left(folder: Path) -> None:
    """Remove a folder whose service has ended; raises OSError where it has not, or where the folder is not ours."""
    if folder.lstat().st_uid != os.getuid():
        return
    with (folder / _LOCK).open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(folder)
