"""Where the numbers live that every request counts: adding to a cell takes no lock and no call.

Only the event loop that serves adds to them; whoever reads sees whole numbers.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from chaosapi.logger import get_logger

_NEW_FILE_BYTES: Final = 2**16
"""Bytes of a new file; it doubles as it grows."""
_ENTRY_OVERHEAD_BYTES: Final = 32
"""Bytes that an entry has besides its key, at most."""

log = get_logger("chaosapi.telemetry.counters")

Cell: TypeAlias = "list[float] | memoryview[float]"
"""A number, as its only item."""


class Key(NamedTuple):
    """Which number of which metric it is."""

    family: str
    sample: str
    labels: tuple[tuple[str, str], ...]
    text: str
    """The metric's help."""


CellFactory = Callable[[str, Sequence[Key]], list[Cell]]
"""Gives the cells of keys; their kind is `counter`, `histogram`, or `gauge_` and how those of several workers merge."""


def local(_: str, keys: Sequence[Key]) -> list[Cell]:
    """Keep them in this process alone."""
    return [[0.0] for _ in keys]


class AllocatedMmapDict(MmapedDict):
    """One of prometheus-client's multiprocess files, with space that is really there.

    The library maps files with holes: writing to one on a full disk kills the process (SIGBUS). Here whoever makes a
    file, or adds a key for which it has to grow, gets an OSError instead.
    """

    def __init__(self, path: Path) -> None:
        _reserve(path, _NEW_FILE_BYTES)
        super().__init__(str(path))  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + _ENTRY_OVERHEAD_BYTES > self._capacity:
            _reserve(Path(self._fname), 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _reserve(path: Path, size: int) -> None:
    """Make a file at least so large; raises OSError where there is no room, and leaves no empty file behind."""
    with path.open("ab") as file:
        try:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            if not path.stat().st_size:
                path.unlink()
            raise


class MmapCounters:
    """Keeps them in files that other processes read, one a kind.

    Where there is no room for them they are this process's own: others do not see them, and everything else goes on.
    """

    def __init__(self, folder: Path, slot: int) -> None:
        self._folder, self._slot = folder, slot
        self._files: dict[str, AllocatedMmapDict] = {}
        self._warned = False

    def __call__(self, kind: str, keys: Sequence[Key]) -> list[Cell]:
        """Give the cells; what a former worker of this slot has counted is in them."""
        try:
            if kind not in self._files:
                self._files[kind] = AllocatedMmapDict(self._folder / f"{kind}_{self._slot}.db")
            return [_cell_in(self._files[kind], key_text(*key)) for key in keys]
        except OSError as error:
            if not self._warned:
                log.warning("metrics of this worker are not in the sums", since=keys[0].family, reason=str(error))
            self._warned = True
            return local(kind, keys)

    def close(self) -> None:
        """Close the files; cells that were given stay."""
        for file in self._files.values():
            file._f.close()  # noqa: SLF001 - `close` would take the memory too


def _cell_in(file: MmapedDict, name: str) -> Cell:
    # The library would find the place anew for each number, under a lock, and write it with a time stamp.
    file.read_value(name)  # type: ignore[no-untyped-call]  # makes it where it is new
    numbers = memoryview(file._m).cast("d")  # noqa: SLF001
    place = file._positions[name] // numbers.itemsize  # noqa: SLF001
    return numbers[place : place + 1]


def key_text(family: str, sample: str, labels: Sequence[tuple[str, str]], text: str) -> str:
    """Write a key as the files have it."""
    key: str = mmap_key(family, sample, [name for name, _ in labels], [value for _, value in labels], text)
    return key
