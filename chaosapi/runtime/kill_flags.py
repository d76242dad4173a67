"""Shared memory through which the workers of one service announce a kill switch: no store and no disk is needed."""

import mmap
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

SLOTS: Final = 256
"""The largest number of processes, those that replace others for a while included."""
_FIELDS: Final = 5
SIZE: Final = SLOTS * _FIELDS * 8
_NOT_STORED: Final = -1


class KillFlag(NamedTuple):
    """The latest kill switches that one worker answered. Times are Unix seconds of the store's clock."""

    calls: int
    """How many kill switches there were. Written last, so that a reader that sees it change sees the other fields."""
    revision: int
    """The revision at which the store has all of them; -1 until then."""
    at: float
    """When the faults ended."""
    created_until: float
    """Faults created later are not ended."""
    halted: bool
    """Whether new faults are refused until the store has the call."""

    @property
    def pending(self) -> bool:
        return self.revision == _NOT_STORED


class KillFlags:
    """One flag for each worker, which only that worker writes; every field is a word, written atomically."""

    def __init__(self, memory: "mmap.mmap | bytearray", slot: int) -> None:
        view = memoryview(memory)
        self._words = view.cast("q")
        self._times = view.cast("d")
        self._first = slot * _FIELDS
        self.slot = slot

    @classmethod
    def private(cls) -> "KillFlags":
        """Return flags for a process without siblings."""
        return cls(bytearray(SIZE), 0)

    @classmethod
    def attach(cls, number: int, slot: int) -> "KillFlags":
        """Return flags on memory from `shared_memory`, given its file descriptor."""
        return cls(mmap.mmap(number, SIZE), slot)

    @property
    def own(self) -> KillFlag:
        """Return the flag of this worker's slot, as it or its predecessor wrote it."""
        return self._read_flag(self._first)

    def flags(self) -> list[KillFlag]:
        """Return all flags that were ever written."""
        found = (self._read_flag(first) for first in range(0, SLOTS * _FIELDS, _FIELDS))
        return [flag for flag in found if flag.calls]

    def call_counts(self) -> tuple[int, ...]:
        """Return how many kill switches each worker answered."""
        return tuple(self._words[::_FIELDS])

    def raise_own(self, at: float, created_until: float, *, halted: bool) -> None:
        """Make all workers end their faults."""
        first = self._first
        halted = halted or (self.own.pending and self.own.halted)
        self._times[first + 2] = at
        self._times[first + 3] = created_until
        self._words[first + 4] = halted
        self._words[first + 1] = _NOT_STORED
        self._words[first] += 1

    def mark_stored(self, revision: int) -> None:
        """Announce that the state of this revision has every call of this worker."""
        self._words[self._first + 1] = revision
        self._words[self._first + 4] = False

    def _read_flag(self, first: int) -> KillFlag:
        words = self._words
        times = self._times
        return KillFlag(words[first], words[first + 1], times[first + 2], times[first + 3], bool(words[first + 4]))


@contextmanager
def shared_memory() -> Iterator[int]:
    """Yield the file descriptor of memory that processes can share; its pages are allocated now, not at first use."""
    if hasattr(os, "memfd_create"):
        file = os.fdopen(os.memfd_create("chaosapi-kill-flags"), "wb", buffering=0)
    else:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed below
    with file:
        file.write(bytes(SIZE))
        yield file.fileno()
