"""The counters of the request path: adding to a cell takes no lock and no function call.

Only the event loop that serves adds to cells; readers in other threads and processes never see half a number.
"""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from threading import Lock
from typing import Final, NamedTuple, TypeAlias

from prometheus_client.mmap_dict import MmapedDict, mmap_key

from chaosapi.logger import get_logger

_NEW_FILE_BYTES: Final = 2**16
"""The file doubles when it is full."""
_ENTRY_OVERHEAD_BYTES: Final = 32
"""The largest size of an entry without its key."""

log = get_logger("chaosapi.telemetry.counters")

Cell: TypeAlias = "list[float] | memoryview[float]"
"""A sequence of one number."""


class Key(NamedTuple):
    """The identity of a sample."""

    family: str
    sample: str
    labels: tuple[tuple[str, str], ...]
    text: str
    """The metric's help."""


CellFactory = Callable[[str, Sequence[Key]], list[Cell]]
"""Returns the cells of keys, given their kind: `counter`, `histogram`, or `gauge_` and the mode to merge workers."""


def local(_: str, keys: Sequence[Key]) -> list[Cell]:
    """Return cells of this process alone."""
    return [[0.0] for _ in keys]


class AllocatedMmapDict(MmapedDict):
    """One of prometheus-client's multiprocess files, with disk space allocated in advance.

    The library maps sparse files: a write to one on a full disk kills the process (SIGBUS). Here a new file, or a new
    key for which the file has to grow, raises OSError instead.
    """

    def __init__(self, path: Path) -> None:
        _reserve(path, _NEW_FILE_BYTES)
        super().__init__(str(path))  # type: ignore[no-untyped-call]

    def _init_value(self, key: str) -> None:
        if self._used + len(key.encode()) + _ENTRY_OVERHEAD_BYTES > self._capacity:
            _reserve(Path(self._fname), 2 * self._capacity)
        super()._init_value(key)  # type: ignore[no-untyped-call]


def _reserve(path: Path, size: int) -> None:
    """Allocate at least `size` bytes for a file; raises OSError where the disk is full, and leaves no empty file."""
    with path.open("ab") as file:
        try:
            if hasattr(os, "posix_fallocate"):  # not on macOS
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError:
            if not path.stat().st_size:
                path.unlink()
            raise


class MmapCounters:
    """Keeps cells in files that other processes read, one file for each kind.

    Where the disk is full, new cells belong to this process alone: the sums over all workers lack them.
    """

    def __init__(self, folder: Path, slot: int) -> None:
        self._folder = folder
        self._slot = slot
        self._files: dict[str, AllocatedMmapDict] = {}
        self._warned = False
        self._lock = Lock()

    def __call__(self, kind: str, keys: Sequence[Key]) -> list[Cell]:
        """Return the cells; they keep the counts of a former worker in this slot."""
        try:
            with self._lock:  # changes of faults may arrive in another thread
                if kind not in self._files:
                    self._files[kind] = AllocatedMmapDict(self._folder / f"{kind}_{self._slot}.db")
                return [_cell_in(self._files[kind], key_text(*key)) for key in keys]
        except OSError as error:
            if not self._warned:
                log.warning("metrics of this worker are not in the sums", since=keys[0].family, reason=str(error))
            self._warned = True
            return local(kind, keys)

    def close(self) -> None:
        """Close the files; cells remain usable."""
        for file in self._files.values():
            file._f.close()  # noqa: SLF001 - `close` would unmap the memory too


def _cell_in(file: MmapedDict, name: str) -> Cell:
    # The library would look up the position for each number, under a lock, and write a time stamp too.
    file.read_value(name)  # type: ignore[no-untyped-call]  # adds a new key
    numbers = memoryview(file._m).cast("d")  # noqa: SLF001 - it has no faster access
    index = file._positions[name] // numbers.itemsize  # noqa: SLF001 - it has no faster access
    return numbers[index : index + 1]


def key_text(family: str, sample: str, labels: Sequence[tuple[str, str]], text: str) -> str:
    """Return a key in the format of the files."""
    key: str = mmap_key(family, sample, [name for name, _ in labels], [value for _, value in labels], text)
    return key
