import pytest

from chaosapi.faults import changes
from chaosapi.faults.state import State
from chaosapi.store.redis.recovery import EpochState, audit_line, merge_audits, recovered_state, recovery_entry
from tests.store.conftest import a_fault

EMPTY = EpochState("", State())


def held(epoch: str, *names: str) -> EpochState:
    """Make a history of creations, one a revision."""
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
def test_a_store_that_knows_more_is_believed(mine: EpochState, theirs: EpochState) -> None:
    """Whether its history is the same or another replica has healed it."""
    assert recovered_state(mine, theirs, 1, 1000) is None


@pytest.mark.parametrize("theirs", [EMPTY, held("one", "a"), held("one", "a", "other")])
def test_where_changes_were_lost_all_faults_end(theirs: EpochState) -> None:
    """Emptied, restored from an older copy, or gone another way since: the revision leaps."""
    state = recovered_state(held("one", "a", "b"), theirs, 1, 1000)
    assert state
    assert (state.revision, state.live(1), len(state.faults)) == (1002, [], 2)


def test_what_another_replica_healed_stays_and_gets_a_higher_revision() -> None:
    """It knew less of the time before; faults made since then go on."""
    state = recovered_state(held("one", "a", "b", "c"), held("two", "new"), 1, 1000)
    assert state
    assert (state.revision, [record.name for record in state.live(1)]) == (1003, ["new"])


def test_audits_are_merged_by_revision_without_doubles() -> None:
    """The same entry made twice is two lines, the same line is one."""
    lines = [audit_line(recovery_entry(State(revision=revision), 0)) for revision in (1, 2, 2, 3)]
    assert merge_audits([lines[3], lines[1]], [lines[2], lines[1], lines[0]]) == [
        lines[3],
        lines[1],
        lines[2],
        lines[0],
    ]
