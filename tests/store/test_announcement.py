from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi.errors import ChaosError
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import State
from chaosapi.store.codec import read, write
from chaosapi.store.redis.announcement import Announcement
from tests.store.conftest import a_fault

NAMES = st.sampled_from(["a", "b", "c"])


def moves() -> st.SearchStrategy[Change]:
    """Draw any change at any time within a few minutes; faults of a minute also end on schedule."""
    specs = st.builds(lambda name, seed: a_fault(name, seed=seed), NAMES, st.integers(0, 3))
    times = st.floats(0, 200)
    return st.one_of(
        st.builds(changes.create, specs, times),
        st.builds(changes.replace, specs, times),
        st.builds(
            lambda name, rate, now: changes.patch(name, {"rate": rate}, Fault.model_validate, now),
            NAMES,
            st.floats(0.1, 1),
            times,
        ),
        st.builds(changes.end, NAMES, times),
        st.builds(changes.end_all, times),
        st.builds(changes.halt, st.text(max_size=3), times),
        st.builds(changes.resume),
    )


@settings(deadline=None, derandomize=True)
@given(st.lists(moves(), max_size=20))
def test_replicas_that_apply_the_announcements_have_the_same_state(moves: list[Change]) -> None:
    """After every possible change, through the JSON text, with the same order of faults."""
    mine = theirs = State()
    for move in moves:
        try:
            after = move(mine)
        except ChaosError:
            continue
        if after.revision != mine.revision:
            told = write(Announcement.of(mine, after, epoch="e", version="v", follows="f", line="l"))
            theirs = read(Announcement, told).apply(theirs)
            mine = after
            assert theirs == mine


def test_the_oldest_ended_faults_are_dropped_on_all_replicas() -> None:
    """When their number exceeds the limit."""
    mine = theirs = State()
    for number in range(changes.MAX_ENDED + 5):
        after = changes.create(a_fault(f"f-{number}"), 100.0 * number)(mine)
        theirs = Announcement.of(mine, after, epoch="e", version="v", follows="f", line="l").apply(theirs)
        mine = after
        assert theirs == mine
    assert len(mine.faults) == changes.MAX_ENDED + 1


def test_an_announcements_size_does_not_depend_on_the_number_of_faults() -> None:
    """One change among a hundred faults is as large as with one fault, except its number."""
    few = many = State()
    for number in range(100):
        many = changes.create(a_fault(f"f-{number}"), float(number))(many)
    sizes = []
    for before in (few, many):
        after = changes.create(a_fault("new"), 0.0)(before)
        sizes.append(len(write(Announcement.of(before, after, epoch="e", version="v", follows="f", line="l"))))
    assert sizes[1] - sizes[0] == 2 * len("00")
