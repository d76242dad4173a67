"""The last revision and heartbeat of a SQLite store, in a file of their own: they expose a restored older copy."""

import os
import re
from contextlib import suppress
from pathlib import Path

from chaosapi.store.lease import Lease


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
        try:
            text = os.pread(self._file, 100, 0) if self._file is not None else b""
        except OSError:
            return None
        found = re.fullmatch(rb"(\d{1,16}) (\d{1,12}\.\d{6})\n", text)
        return Lease(int(found[1]), float(found[2])) if found else None

    def advance(self, revision: int, now: float) -> None:
        """Write a heartbeat; the revision never decreases."""
        known = self.read()
        self.write(max(revision, known.revision if known else 0), now)

    def write(self, revision: int, now: float) -> None:
        """Write a heartbeat with exactly this revision."""
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, b"%016d %019.6f\n" % (revision, max(now, 0.0)), 0)
