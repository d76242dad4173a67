import math
from bisect import bisect_right
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import accumulate

import pytest
from pydantic import ValidationError
from scipy import stats

from chaosapi.faults import dice
from chaosapi.faults import schedule as schedules
from chaosapi.faults.schedule import Schedule


def schedule(shape: dict[str, object] | None = None, **fields: object) -> Schedule:
    """Return a schedule of 100 seconds."""
    return Schedule.model_validate({"duration": 100, **({"shape": shape} if shape else {}), **fields})


def strengths(shape: dict[str, object], *times: float, seed: int = 0) -> list[float]:
    """Return the strengths of a 100-second fault at these times."""
    course = schedule(shape).course(seed)
    return [round(course.strength(time), 6) for time in times]


def test_the_strength_is_0_before_the_start_and_from_the_end_on() -> None:
    """The interval is half-open."""
    delayed = schedule(start_after="10s").course(0)
    assert [delayed.strength(time) for time in (0, 9.999, 10, 109.999, 110, 1e9)] == [0, 0, 1, 1, 0, 0]


def test_a_ramp_rises_stays_and_falls() -> None:
    """Linearly."""
    assert strengths({"type": "ramp", "up": 20, "down": 40}, 0, 10, 20, 60, 80, 99) == [0, 0.5, 1, 1, 0.5, 0.025]


def test_a_ramp_without_up_and_down_is_constant() -> None:
    """There is no division by zero."""
    assert strengths({"type": "ramp"}, 0, 50, 99) == [1, 1, 1]


def test_steps_share_the_duration() -> None:
    """Four levels of 25 seconds each."""
    assert strengths({"type": "steps", "levels": [0.1, 0.5, 1, 0]}, 0, 24.9, 25, 74, 75, 99) == [0.1, 0.1, 0.5, 1, 0, 0]


def test_a_pulse_alternates() -> None:
    """It starts with on."""
    assert strengths({"type": "pulse", "on": 5, "off": 15}, 0, 4.9, 5, 19.9, 20, 24.9, 25) == [1, 1, 0, 0, 1, 1, 0]


def test_a_sine_starts_in_its_trough() -> None:
    """It oscillates between `low` and 1."""
    assert strengths({"type": "sine", "period": 40, "low": 0.2}, 0, 10, 20, 40) == [0.2, 0.6, 1, 0.2]


def test_bursts_depend_on_the_seed_only() -> None:
    """The same seed gives the same bursts on every replica, another seed others."""
    shape = {"type": "bursts", "on": 2, "off": 3}
    times = [step / 10 for step in range(1000)]
    first = strengths(shape, *times, seed=1)
    assert first[0] == 0
    assert set(first) == {0, 1}
    assert first == strengths(shape, *times, seed=1)
    assert first != strengths(shape, *times, seed=2)


def test_bursts_have_the_requested_mean_lengths() -> None:
    """Over 2,000 cycles the time in bursts is on / (on + off) within 6 standard errors (alarm below 1 in a million)."""
    long = Schedule.model_validate({"duration": "10h", "shape": {"type": "bursts", "on": 6, "off": 12}}).course(3)
    share = sum(long.strength(second) for second in range(36_000)) / 36_000
    # Alternating renewal: variance of the share over n cycles is 2 (on·off)² / (n (on + off)⁴).
    error = (2 * (6 * 12) ** 2 / (2000 * 18**4)) ** 0.5
    assert abs(share - 1 / 3) < stats.norm.isf(5e-7) * error * 1.2


@pytest.fixture
def draws(monkeypatch: pytest.MonkeyPatch) -> Counter[int]:
    """Return the draws of bursts, by seed."""
    counted: Counter[int] = Counter()

    def uniform(seed: int, key: str) -> float:
        counted[seed] += 1
        return dice.uniform(seed, key)

    monkeypatch.setattr(schedules, "uniform", uniform)
    return counted


MOST = Schedule.model_validate({"duration": "24h", "shape": {"type": "bursts", "on": 4, "off": 4.64}})
"""The highest number of bursts: 10,000."""


def test_bursts_are_drawn_on_demand(draws: Counter[int]) -> None:
    """The first request of a hundred faults with 10,000 bursts each does not wait for two million draws."""
    courses = [MOST.course(seed) for seed in range(1000, 1100)]
    assert {course.strength(0.0) for course in courses} == {0}
    assert max(draws.values()) <= 100
    before = draws.total()
    for second in range(1, 600):
        courses[0].strength(second)
    assert draws.total() - before < 600


def test_bursts_do_not_depend_on_the_order_of_queries(draws: Counter[int]) -> None:
    """A replica that starts late has the same bursts as the others; each burst is drawn once."""
    lengths = [-(4, 4.64)[n % 2 == 0] * math.log1p(-dice.uniform(1200, f"burst:{n}")) for n in range(21_000)]
    edges = list(accumulate(lengths))
    course = MOST.course(1200)
    for time in [86_399.0, *(step * 97.0 for step in range(800)), 86_000.0]:
        assert course.strength(time) == bisect_right(edges, time) % 2
    assert draws[1200] < 21_000


def test_concurrent_threads_draw_bursts_once(draws: Counter[int]) -> None:
    """The admin API and the requests may use different threads."""
    course = MOST.course(1300)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: course.strength(80_000.0), range(64)))
    assert len(set(found)) == 1
    assert draws[1300] < 21_000


@pytest.mark.parametrize(
    "body",
    [
        {"duration": 0},
        {"duration": "-1s"},
        {"duration": 10, "shape": {"type": "ramp", "up": 6, "down": 5}},
        {"shape": {"type": "steps", "levels": []}},
        {"shape": {"type": "steps", "levels": [1.5]}},
        {"shape": {"type": "pulse", "on": 0, "off": 1}},
        {"shape": {"type": "sine", "period": 0}},
        {"duration": "24h", "shape": {"type": "bursts", "on": "100ms", "off": "100ms"}},
        {"shape": {"type": "square"}},
    ],
)
def test_an_invalid_schedule_is_refused(body: dict[str, object]) -> None:
    """Empty, endless and contradictory schedules."""
    with pytest.raises(ValidationError):
        Schedule.model_validate(body)
