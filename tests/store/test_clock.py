from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi.store.redis.clock import SharedClock


@settings(deadline=None, derandomize=True)
@given(st.floats(-100, 100), st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1))
def test_the_clock_error_is_at_most_the_fastest_round_trip(ahead: float, answers: list[tuple[float, float]]) -> None:
    """For any split of each round trip."""
    local = 1000.0
    clock = SharedClock(lambda: local)
    for there, back in answers:
        asked = local
        local += there
        told = local + ahead
        local += back
        clock.synchronize(asked, told, local)
    assert abs(clock.now() - (local + ahead)) <= min(there + back for there, back in answers) + 1e-9


def test_a_slow_reply_does_not_change_a_known_offset() -> None:
    """The offset moves only as far as the bounds require."""
    clock = SharedClock(lambda: 0.0)
    clock.synchronize(0, 30, 0)
    clock.synchronize(0, 31, 3)
    assert clock.now() == 30


def test_a_step_of_the_local_clock_has_no_effect() -> None:
    """The local clock is used only before the first reply of the store."""
    local = 1_000_000.0
    steady = 5.0
    clock = SharedClock(lambda: local, lambda: steady)
    assert clock.now() == 1_000_000
    local += 3600
    steady += 1
    assert clock.now() == 1_000_001
    clock.synchronize(6, 1_000_031, 6)
    local -= 7200
    steady += 1
    assert clock.now() == 1_000_032
