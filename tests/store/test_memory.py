import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi.faults import changes
from chaosapi.store import MemoryStore, memory
from chaosapi.store.codec import write
from tests.store.conftest import a_fault, an_entry

SIZE = 20_000


@given(st.lists(st.integers(0, 9_000), max_size=30))
@settings(deadline=None)
def test_the_audit_keeps_the_newest_entries_that_fit_into_its_bytes(bodies: list[int]) -> None:
    """For entries of any size; each kept entry is complete, and the last entry is always kept."""

    async def play() -> None:
        store = MemoryStore(lambda: 0.0)
        written = []
        for number, body in enumerate(bodies):
            fault = a_fault(seed=number, effect={"type": "error", "body": "x" * body})
            entry = an_entry().model_copy(update={"fault": "a"})
            state = (await store.apply(changes.replace(fault, 0.0), entry)).after
            written.append(entry.signed(state))
        kept = await store.audit(10_000)
        assert kept == written[::-1][: len(kept)]
        sizes = [len(write(entry).encode()) for entry in written[::-1]]
        assert sum(sizes[: len(kept)]) <= SIZE or len(kept) == 1
        if len(kept) < len(written):
            assert sum(sizes[: len(kept) + 1]) > SIZE

    with pytest.MonkeyPatch.context() as smaller:
        smaller.setattr(memory, "MAX_AUDIT_BYTES", SIZE)
        asyncio.run(play())
