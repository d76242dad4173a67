import pytest

from chaosapi.faults import changes
from chaosapi.faults.state import State
from chaosapi.store.redis.recovery import EpochState, audit_line, merge_audits, recovered_state, recovery_entry
from tests.store.conftest import a_fault

EMPTY = EpochState("", State())


def held(epoch: str, *names: str) -> EpochState:
    """Return a history of creations, one for each revision."""
    state = State()
    for name in names:
        state = changes.create(a_fault(name), 0)(state)
    return EpochState(epoch, state)


@pytest.mark.parametrize(
    ("mine", "theirs"),
    [
        (EMPTY, EMPTY),
        (EMPTY, held("one", "a")),
        (held("one", "a"), held("one", "a")),
        (held("one", "a"), held("one", "a", "b")),
        (held("one", "a"), held("two", "a", "b")),
    ],
)
def test_a_store_with_more_changes_is_accepted(mine: EpochState, theirs: EpochState) -> None:
    """Whether it has the same history or another replica has recovered it."""
    assert recovered_state(mine, theirs, 1, 1000) is None


@pytest.mark.parametrize("theirs", [EMPTY, held("one", "a"), held("one", "a", "other")])
def test_a_store_that_lost_changes_ends_all_faults(theirs: EpochState) -> None:
    """Flushed, restored from an older copy, or diverged since: the revision leaps."""
    state = recovered_state(held("one", "a", "b"), theirs, 1, 1000)
    assert state
    assert (state.revision, state.live(1), len(state.faults)) == (1002, [], 2)


def test_a_state_that_another_replica_recovered_is_kept_at_a_higher_revision() -> None:
    """That replica knew fewer earlier changes; faults created since continue."""
    state = recovered_state(held("one", "a", "b", "c"), held("two", "new"), 1, 1000)
    assert state
    assert (state.revision, [record.name for record in state.live(1)]) == (1003, ["new"])


def test_audits_are_merged_by_revision_without_duplicates() -> None:
    """Two equal entries are two lines; the same line is one."""
    lines = [audit_line(recovery_entry(State(revision=revision), 0)) for revision in (1, 2, 2, 3)]
    assert merge_audits([lines[3], lines[1]], [lines[2], lines[1], lines[0]]) == [
        lines[3],
        lines[1],
        lines[2],
        lines[0],
    ]
