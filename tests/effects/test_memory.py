"""The memory effect in this process, whose resident memory is measured."""

import threading

import psutil
import pytest
from pydantic import ValidationError

from chaosapi.effects.memory import Memory
from tests.effects.hosts import Host, Turned
from tests.patience import until

MIB = 2**20


def resident() -> int:
    """Return the resident memory of this process in bytes."""
    found: int = psutil.Process().memory_info().rss
    return found


def test_the_memory_is_resident_and_is_released() -> None:
    """A lower scale releases memory too."""
    before = resident()
    host = Host()
    thread = threading.Thread(target=Memory(limit="200MiB", rate="1GiB").act, args=(host,))
    thread.start()
    try:
        until(lambda: resident() - before > 190 * MIB)
        host.power = 0.25
        until(lambda: resident() - before < 70 * MIB)
    finally:
        host.over.set()
        thread.join()
    assert resident() - before < 20 * MIB
    assert host.acts == 1


def test_memory_grows_at_its_rate_up_to_its_limit() -> None:
    """8 MiB per second for 6 s would be 48 MiB; the limit is 32. Other allocations of the process are tolerated."""
    before = resident()
    seen: list[tuple[float, float]] = []
    host = Turned(6, lambda time: seen.append((time, (resident() - before) / MIB)))
    Memory(limit="32MiB", rate="8MiB").act(host)
    assert max(time for time, _ in seen) > 5
    assert all(abs(taken - min(32, 8 * time)) < 6 for time, taken in seen)


@pytest.mark.parametrize(
    ("size", "written"),
    [("256MiB", "256MiB"), (2**20, "1MiB"), ("1.5GiB", "1536MiB"), ("1.5GB", "1500000000B"), ("2MB", "2000000B")],
)
def test_sizes_are_parsed_and_formatted(size: str | int, written: str) -> None:
    """In the largest exact unit, so that they can be sent again."""
    effect = Memory.model_validate({"limit": size})
    assert effect.model_dump(mode="json")["limit"] == written
    assert Memory.model_validate(effect.model_dump(mode="json")) == effect


@pytest.mark.parametrize("size", ["much", -1, 1.5, True, None, "5 parsecs", "2PB", 0])
def test_an_invalid_size_is_refused(size: object) -> None:
    """Also one that is too small to measure, or larger than any machine."""
    with pytest.raises(ValidationError):
        Memory.model_validate({"limit": size})
