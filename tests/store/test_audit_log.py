"""The in-memory audit equals a list of the newest entries, in a fraction of the memory."""

import tracemalloc

from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi.faults.state import AuditEntry
from chaosapi.store.audit_log import AuditLog
from chaosapi.store.codec import write
from tests.store.conftest import a_fault, an_entry


def entry(revision: int, reason: str = "") -> AuditEntry:
    """Return an entry with a fault in it."""
    spec = a_fault(seed=revision, target={"routes": [f"/api/{revision}"]})
    return an_entry().model_copy(update={"revision": revision, "reason": reason, "spec": spec})


@given(
    st.lists(st.tuples(st.integers(1, 3), st.integers(0, 300), st.sampled_from("aé😀\n")), max_size=200),
    st.integers(1, 150),
    st.integers(1, 100_000),
    st.integers(1, 250),
    st.none() | st.integers(0, 500),
)
@settings(deadline=None)
def test_the_newest_within_the_limits_are_read_newest_first(
    steps: list[tuple[int, int, str]], most: int, size: int, limit: int, before: int | None
) -> None:
    """For any split into blocks."""
    log = AuditLog(most, size)
    written: list[AuditEntry] = []
    revision = 0
    for step, length, letter in steps:
        revision += step
        written.append(entry(revision, length * letter))
        log.append(written[-1])
    kept: list[AuditEntry] = []
    for each in reversed(written):
        size -= len(write(each).encode())
        if kept and (size < 0 or len(kept) == most):
            break
        kept.append(each)
    wanted = [each for each in kept if before is None or each.revision < before]
    assert log.snapshot().latest(limit, before) == wanted[:limit]


def test_a_read_is_not_affected_by_later_writes() -> None:
    """The result is parsed in another thread."""
    log = AuditLog(100, 10**6)
    log.append(entry(1))
    seen = log.snapshot()
    for revision in range(2, 300):
        log.append(entry(revision))
    assert [each.revision for each in seen.latest(10, None)] == [1]
    assert [each.revision for each in log.snapshot().latest(3, None)] == [299, 298, 297]


def test_a_full_audit_of_usual_entries_takes_less_than_two_mebibytes() -> None:
    """As JSON it would take more than five MiB; the budget is 16."""
    log = AuditLog(10_000, 2**24)
    tracemalloc.start()
    try:
        for revision in range(1, 10_001):
            log.append(entry(revision))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(log.snapshot().latest(10_000, None)) == 10_000
    assert taken < 2 * 2**20
