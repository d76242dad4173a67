"""How far a SQLite store has come and when it was last alive, kept beside the file so that an old copy of it shows."""

import os
import re
from contextlib import suppress
from pathlib import Path

from chaosapi.store.lease import Lease


class Watermark:
    """The file `NAME-watermark`. What goes wrong with it is not the store's trouble: no mark means doubt."""

    def __init__(self, path: Path) -> None:
        self._path = path.with_name(f"{path.name}-watermark")
        self._file: int | None = None

    def open(self) -> None:
        """Open the file, or make it."""
        try:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            self._file = None

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def read(self) -> Lease | None:
        """Return what was noted last; None where that cannot be told."""
        try:
            text = os.pread(self._file, 100, 0) if self._file is not None else b""
        except OSError:
            return None
        found = re.fullmatch(rb"(\d{1,16}) (\d{1,12}\.\d{6})\n", text)
        return Lease(int(found[1]), float(found[2])) if found else None

    def advance(self, revision: int, now: float) -> None:
        """Note a sign of life; the revision never goes back."""
        known = self.read()
        self.write(max(revision, known.revision if known else 0), now)

    def write(self, revision: int, now: float) -> None:
        """Note a sign of life of a store that is at this revision, whatever was noted before."""
        if self._file is not None:
            with suppress(OSError):
                os.pwrite(self._file, b"%016d %019.6f\n" % (revision, max(now, 0.0)), 0)
