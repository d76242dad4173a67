"""Memory in which the workers of one service tell each other of a kill switch: it needs neither store nor disk."""

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

SLOTS: Final = 64
"""The most workers there are."""
_FIELDS: Final = 5
_SIZE: Final = SLOTS * _FIELDS * 8
_NOT_STORED: Final = -1


class KillFlag(NamedTuple):
    """The latest kill switches that one worker answered. Times are Unix seconds in the store's time."""

    calls: int
    """How many there were; grows last, so that whoever sees it grow sees the rest."""
    revision: int
    """The revision at which the store took them all; -1 while it has not."""
    at: float
    """When the faults ended."""
    made_by: float
    """Faults made later are not meant."""
    halted: bool
    """Whether new faults are refused too, until the store knows."""

    @property
    def pending(self) -> bool:
        """Whether the store has yet to take it."""
        return self.revision == _NOT_STORED


class KillFlags:
    """One cell for each worker, which only that one writes; all fields are words, written one at a time."""

    def __init__(self, memory: "mmap.mmap | bytearray", slot: int) -> None:
        view = memoryview(memory)
        self._words = view.cast("q")
        self._times = view.cast("d")
        self._first = slot * _FIELDS
        self.slot = slot

    @classmethod
    def private(cls) -> "KillFlags":
        """Make one for a process without siblings."""
        return cls(bytearray(_SIZE), 0)

    @classmethod
    def attach(cls, number: int, slot: int) -> "KillFlags":
        """Make one on memory from `shared`, given its file descriptor."""
        return cls(mmap.mmap(number, _SIZE), slot)

    @property
    def own(self) -> KillFlag:
        """Return the cell of this worker, also as a predecessor in its slot has left it."""
        return self._read_flag(self._first)

    def flags(self) -> list[KillFlag]:
        """Return all cells that were ever written."""
        found = (self._read_flag(first) for first in range(0, SLOTS * _FIELDS, _FIELDS))
        return [cell for cell in found if cell.calls]

    def call_counts(self) -> tuple[int, ...]:
        """Return how many kill switches each worker answered."""
        return tuple(self._words[::_FIELDS])

    def raise_own(self, at: float, made_by: float, *, halted: bool) -> None:
        """Tell all workers to end their faults."""
        first = self._first
        halted = halted or (self.own.pending and self.own.halted)
        self._times[first + 2] = at
        self._times[first + 3] = made_by
        self._words[first + 4] = halted
        self._words[first + 1] = _NOT_STORED
        self._words[first] += 1

    def mark_stored(self, revision: int) -> None:
        """Tell all workers that the state of this revision has it."""
        self._words[self._first + 1] = revision
        self._words[self._first + 4] = False

    def _read_flag(self, first: int) -> KillFlag:
        words = self._words
        times = self._times
        return KillFlag(words[first], words[first + 1], times[first + 2], times[first + 3], bool(words[first + 4]))


@contextmanager
def shared_memory() -> Iterator[int]:
    """Give the file descriptor of memory that processes can share; its pages are taken now, not when it matters."""
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("chaosapi-alarm"), "wb", buffering=0)
    else:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed below
    with file:
        file.write(bytes(_SIZE))
        yield file.fileno()
