"""The last revision and heartbeat of a SQLite store, in a file of their own: they expose a restored older copy.

The file also has its own inode number and the time of its last change: a copy of it, which may be restored together
with the store, has another number or a later time.
"""

import os
import re
from contextlib import suppress
from pathlib import Path
from typing import Final

from chaosapi.store.lease import Lease

_SLACK_NS: Final = 250_000_000
"""The time of the last change is read before it is written; a busy machine may need this long in between."""
_CONTENT: Final = re.compile(rb"(\d{1,16}) (\d{1,12}\.\d{6}) (\d{1,20}) (\d{1,20})\n")


class Watermark:
    """The file `NAME-watermark`. Its errors are suppressed: without a watermark the stored faults end at startup."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-watermark")
        self._file: int | None = None

    def open(self) -> None:
        """Open or create the file."""
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            self._file = None

    def close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def read(self) -> Lease | None:
        """Return the last watermark; None if it is missing or cannot be read."""
        found = self._content()
        return Lease(int(found[1]), float(found[2])) if found else None

    def is_copy(self) -> bool:
        """Return whether something other than `write` has written, copied or moved the file."""
        found = self._content()
        if found is None or self._file is None:
            return False
        status = os.fstat(self._file)
        return status.st_ino != int(found[3]) or status.st_ctime_ns - int(found[4]) > _SLACK_NS

    def advance(self, revision: int, now: float) -> None:
        """Write a heartbeat; the revision never decreases."""
        known = self.read()
        self.write(max(revision, known.revision if known else 0), now)

    def write(self, revision: int, now: float) -> None:
        """Write a heartbeat with exactly this revision."""
        if self._file is not None:
            with suppress(OSError):
                head = b"%016d %019.6f " % (revision, max(now, 0.0))
                os.pwrite(self._file, head, 0)
                status = os.fstat(self._file)
                os.pwrite(self._file, b"%020d %020d\n" % (status.st_ino, status.st_ctime_ns), len(head))

    def _content(self) -> re.Match[bytes] | None:
        try:
            text = os.pread(self._file, 100, 0) if self._file is not None else b""
        except OSError:
            return None
        return _CONTENT.fullmatch(text)
