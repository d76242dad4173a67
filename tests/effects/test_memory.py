"""In this very process, whose resident memory is measured."""

import threading

import psutil
import pytest
from pydantic import ValidationError

from chaosapi.effects.memory import Memory
from tests.effects.hosts import Host, Turned, until

MIB = 2**20


def resident() -> int:
    """Return the bytes of this process that are in memory."""
    found: int = psutil.Process().memory_info().rss
    return found


def test_it_is_really_resident_and_given_back() -> None:
    """What a scale takes away is given back as well."""
    before, host = resident(), Host()
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


def test_it_grows_at_its_rate_and_not_past_its_limit() -> None:
    """8 MiB a second for 6 s would be 48; the limit is 32. Within what else the process takes meanwhile."""
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
def test_sizes_are_read_and_come_back_as_sizes(size: str | int, written: str) -> None:
    """In the largest unit that loses nothing, so that they can be sent again."""
    effect = Memory.model_validate({"limit": size})
    assert effect.model_dump(mode="json")["limit"] == written
    assert Memory.model_validate(effect.model_dump(mode="json")) == effect


@pytest.mark.parametrize("size", ["much", -1, 1.5, True, None, "5 parsecs", "2PB", 0])
def test_what_is_no_size_is_refused(size: object) -> None:
    """Or is too small to be seen, or larger than any machine."""
    with pytest.raises(ValidationError):
        Memory.model_validate({"limit": size})
