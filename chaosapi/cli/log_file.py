"""Read a log while it is written: whole lines, also after it was rotated or truncated."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import BinaryIO, Final

_MAX_LINE: Final = 2**20
"""In bytes; a longer line is read in parts."""


def read(file: BinaryIO) -> Iterator[str]:
    """Yield the lines of a file, the last one also if it has no end yet."""
    while piece := file.readline(_MAX_LINE):
        yield _text(piece)


def follow(path: Path) -> Iterator[str | None]:
    """Yield the lines of a file, and None whenever there is no further one yet; end when the file was removed.

    A line without an end waits for it. A file that was replaced is read to its end, then the new one from its start.
    """
    tail = _Tail(path)
    with closing(tail):
        while True:
            yield from tail.lines()
            if not path.exists():
                yield None
                if not path.exists():  # a rotation takes a moment to make the new file
                    return
            elif tail.is_old():
                yield from tail.lines()  # what was written since
                tail.reopen()
            else:
                yield None


class _Tail:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO = path.open("rb")
        self._rest = b""

    def close(self) -> None:
        self._file.close()

    def lines(self) -> Iterator[str]:
        while piece := self._file.readline(_MAX_LINE):
            self._rest += piece
            if self._rest.endswith(b"\n") or len(self._rest) >= _MAX_LINE:
                yield _text(self._rest)
                self._rest = b""

    def is_old(self) -> bool:
        """Return whether the path names another file, or the file is shorter than what was read."""
        try:
            now = self._path.stat()
        except FileNotFoundError:
            return False
        return not os.path.samestat(now, os.fstat(self._file.fileno())) or now.st_size < self._file.tell()

    def reopen(self) -> None:
        self._file.close()
        self._file = self._path.open("rb")
        self._rest = b""


def _text(line: bytes) -> str:
    return line.decode(errors="replace").removesuffix("\n")
