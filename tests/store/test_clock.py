from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi.store.redis.clock import SharedClock


@settings(deadline=None, derandomize=True)
@given(st.floats(-100, 100), st.lists(st.tuples(st.floats(0, 5), st.floats(0, 5)), min_size=1))
def test_the_error_is_never_more_than_the_quickest_answer_took(
    ahead: float, answers: list[tuple[float, float]]
) -> None:
    """Whatever the way there and the way back took, each time."""
    local = 1000.0
    clock = SharedClock(lambda: local)
    for there, back in answers:
        asked = local
        local += there
        told = local + ahead
        local += back
        clock.synchronize(asked, told, local)
    assert abs(clock.now() - (local + ahead)) <= min(there + back for there, back in answers) + 1e-9


def test_a_known_time_is_not_disturbed_by_a_slow_answer() -> None:
    """It moves only as far as it must."""
    clock = SharedClock(lambda: 0.0)
    clock.synchronize(0, 30, 0)
    clock.synchronize(0, 31, 3)
    assert clock.now() == 30


def test_a_local_clock_that_is_set_disturbs_nobody() -> None:
    """It only tells where to begin, as long as the other one was never heard of."""
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
