import errno
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from prometheus_client.mmap_dict import MmapedDict

from chaosapi.telemetry.counters import Key, MmapCounters, local
from tests.captured import captured

SMALLEST = 65536


def keys(first: int, last: int) -> list[Key]:
    """Return keys that are so long that a few hundred fill the smallest file."""
    return [Key("f", "f_total", (("number", f"{number}-{'x' * 100}"),), "Help.") for number in range(first, last)]


def written(path: Path) -> list[float]:
    """Read a file as another process does."""
    return [value for _, value, *_ in MmapedDict.read_all_values_from_file(str(path))]  # type: ignore[no-untyped-call]


Hire = Callable[[int], MmapCounters]


@pytest.fixture
def hire(tmp_path: Path) -> Iterator[Hire]:
    """Return a function that opens the counters of a slot."""
    with ExitStack() as stack:
        yield lambda slot: stack.enter_context(closing(MmapCounters(tmp_path, slot)))


def test_an_increment_is_in_the_file_at_once(hire: Hire, tmp_path: Path) -> None:
    """There is no flush: a killed process loses nothing."""
    one, two = hire(3)("counter", keys(0, 2))
    one[0] += 1
    two[0] += 2.5
    one[0] += 1
    assert written(tmp_path / "counter_3.db") == [2, 2.5]


def test_the_next_process_of_a_slot_continues_its_counters(hire: Hire) -> None:
    """New keys start at 0."""
    (cell,) = hire(0)("counter", keys(0, 1))
    cell[0] += 5
    successor, new = hire(0)("counter", keys(0, 2))
    successor[0] += 1
    assert (successor[0], new[0]) == (6, 0)


def test_counters_survive_the_growth_of_their_file(hire: Hire, tmp_path: Path) -> None:
    """Counters from before and after the growth write to the same file."""
    cells = hire(0)
    (early,) = cells("histogram", keys(0, 1))
    late = cells("histogram", keys(1, 1000))[-1]
    early[0] += 1
    late[0] += 2
    path = tmp_path / "histogram_0.db"
    assert path.stat().st_size > SMALLEST
    assert (written(path)[0], written(path)[-1]) == (1, 2)


def test_local_counters_are_separate() -> None:
    """Each counter starts at 0."""
    one, two = local("counter", keys(0, 2))
    one[0] += 1
    assert (one[0], two[0]) == (1, 0)


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Simulate a disk with room for files up to the size in the list."""
    room = [0]
    reserve = os.posix_fallocate

    def scarce(fd: int, offset: int, length: int) -> None:
        if offset + length > room[0]:
            raise OSError(errno.ENOSPC, "No space left on device")
        reserve(fd, offset, length)

    monkeypatch.setattr("os.posix_fallocate", scarce)
    return room


def test_on_a_full_disk_counters_are_local(hire: Hire, tmp_path: Path, full: list[int]) -> None:
    """Writing to a file without space would kill the process (SIGBUS); no empty file is left."""
    shared = hire(0)
    with captured() as logs:
        (cell,) = shared("counter", keys(0, 1))
        shared("counter", keys(1, 2))
    assert [entry["reason"] for entry in logs] == ["[Errno 28] No space left on device"]
    cell[0] += 1
    assert cell[0] == 1
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_grow_keeps_its_counters(hire: Hire, tmp_path: Path, full: list[int]) -> None:
    """They continue to count in the file."""
    full[0] = SMALLEST
    shared = hire(0)
    (early,) = shared("counter", keys(0, 1))
    late = shared("counter", keys(1, 1000))
    early[0] += 1
    late[-1][0] += 2
    assert written(tmp_path / "counter_0.db")[0] == 1
    assert (tmp_path / "counter_0.db").stat().st_size == SMALLEST
    assert late[-1][0] == 2


def test_the_space_of_a_file_is_allocated(hire: Hire, tmp_path: Path) -> None:
    """The file is not sparse, so a full disk cannot prevent later writes."""
    hire(0)("counter", keys(0, 1000))
    found = (tmp_path / "counter_0.db").stat()
    assert found.st_blocks * 512 >= found.st_size > SMALLEST
