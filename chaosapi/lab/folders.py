"""Temporary folders of labs: private to the user, and removed even after a lab was killed."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

PREFIX: Final = "chaosapi-lab-"
_LOCK: Final = ".lab"
"""A file that the lab holds locked: the kernel frees it, whatever ends the lab."""


@contextmanager
def temporary(parent: Path) -> Iterator[Path]:
    """Yield a new folder in `parent` and remove it afterwards; first remove those of killed labs."""
    remove_abandoned(parent)
    with tempfile.TemporaryDirectory(prefix=PREFIX, dir=parent) as name, (Path(name) / _LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield Path(name)


def remove_abandoned(parent: Path) -> None:
    """Remove the folders of this user's labs that have ended."""
    for folder in parent.glob(f"{PREFIX}*"):
        if not folder.is_symlink() and _is_abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)


def write_private(file: Path, text: str) -> None:
    """Write a file that only this user may read, also if it exists."""
    with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600), "w", encoding="utf-8") as out:
        os.fchmod(out.fileno(), 0o600)
        out.truncate()
        out.write(text)


def _is_abandoned(folder: Path) -> bool:
    try:
        if folder.stat().st_uid != os.geteuid():
            return False
        with (folder / _LOCK).open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a running lab holds its lock, and a starting one has none yet
        return False
    return True
