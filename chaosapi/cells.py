"""Where the numbers live that every request counts: adding to a cell takes no lock and no call.

Only the event loop that serves adds to them; whoever reads sees whole numbers.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, TypeAlias

from prometheus_client.mmap_dict import MmapedDict, mmap_key

Cell: TypeAlias = "list[float] | memoryview[float]"
"""A number, as its only item."""


class Key(NamedTuple):
    """Which number of which metric it is."""

    family: str
    sample: str
    labels: tuple[tuple[str, str], ...]
    text: str
    """The metric's help."""


Cells = Callable[[str, Sequence[Key]], list[Cell]]
"""Gives the cells of keys; their kind is `counter`, `histogram`, or `gauge_` and how those of several workers merge."""


def own(_: str, keys: Sequence[Key]) -> list[Cell]:
    """Keep them in this process alone."""
    return [[0.0] for _ in keys]


class Shared:
    """Keeps them in files that other processes read: prometheus-client's multiprocess files, one a kind."""

    def __init__(self, folder: Path, slot: int) -> None:
        self._folder, self._slot = folder, slot
        self._files: dict[str, MmapedDict] = {}

    def __call__(self, kind: str, keys: Sequence[Key]) -> list[Cell]:
        """Give the cells; what a former worker of this slot has counted is in them."""
        if kind not in self._files:
            self._files[kind] = MmapedDict(str(self._folder / f"{kind}_{self._slot}.db"))  # type: ignore[no-untyped-call]
        return [_cell(self._files[kind], as_text(*key)) for key in keys]

    def close(self) -> None:
        """Close the files; cells that were given stay."""
        for file in self._files.values():
            file._f.close()  # noqa: SLF001 - `close` would take the memory too


def _cell(file: MmapedDict, name: str) -> Cell:
    # The library would find the place anew for each number, under a lock, and write it with a time stamp.
    file.read_value(name)  # type: ignore[no-untyped-call]  # makes it where it is new
    numbers = memoryview(file._m).cast("d")  # noqa: SLF001
    place = file._positions[name] // numbers.itemsize  # noqa: SLF001
    return numbers[place : place + 1]


def as_text(family: str, sample: str, labels: Sequence[tuple[str, str]], text: str) -> str:
    """Write a key as the files have it."""
    key: str = mmap_key(family, sample, [name for name, _ in labels], [value for _, value in labels], text)
    return key
