from typing import Any

import pytest

from tests.benchmarks.pure import module

latency = module("latency")


def turn(*beyond: float, early: int = 0) -> Any:
    """Return a turn of 50 ms with bare requests of 1 ms, measured with this excess."""
    return latency.Turn([50.0] * 5, [51.0] * 5, [51 + ms for ms in beyond], early)


def test_percentiles_are_milliseconds_of_the_ordered_values() -> None:
    """The last one is the largest there is."""
    assert latency.percentiles([n / 1000 for n in range(1000, 0, -1)]) == pytest.approx([501, 901, 951, 991, 1000])
    assert latency.percentiles([0.002]) == [2] * 5


def test_in_the_gap_of_a_mixture_the_machine_is_not_taken_for_the_service() -> None:
    """A late request there is far beyond the planned percentile, and not beyond the plan and a bare request."""
    delays = {f"r-{n}": 0.02 if n < 91 else 0.15 for n in range(100)}
    bare = {f"r-{n}": 0.03 if n == 0 else 0.001 for n in range(100)}
    found = latency.compare("mixture", 200.0, [latency.turn({k: delays[k] + bare[k] for k in delays}, delays, bare)])
    assert found["off"][1] == pytest.approx(30)
    assert found["beyond"] == pytest.approx([0] * 5)
    assert found["within"]


def test_answers_before_their_own_time_are_counted() -> None:
    """For any percentiles."""
    delays = {"a": 0.02, "b": 0.03}
    assert latency.turn({"a": 0.03, "b": 0.02}, delays, dict.fromkeys(delays, 0.0)).early == 1


def test_the_time_of_bare_requests_is_subtracted() -> None:
    """Both are shown; above p99 there is no goal."""
    found = latency.compare("constant", 200.0, [turn(0.5, 0.5, 1, 1, 21)])
    assert found["off"] == [1.5, 1.5, 2, 2, 22]
    assert found["beyond"] == [0.5, 0.5, 1, 1, 21]
    assert found["within"]


@pytest.mark.parametrize("place", range(4))
def test_more_than_a_millisecond_at_any_judged_percentile_misses_the_goal(place: int) -> None:
    """Also at p90."""
    beyond = [0.0] * 5
    beyond[place] = 1.1
    assert not latency.compare("constant", 200.0, [turn(*beyond)])["within"]


def test_one_bad_round_of_three_is_tolerated() -> None:
    """The machine may have been busy."""
    fine = turn(0, 0, 0, 0, 0)
    late = turn(0, 90, 90, 90, 90)
    assert latency.compare("mixture", 200.0, [fine, late, fine])["within"]


def test_an_answer_before_its_time_misses_the_goal() -> None:
    """However exact the percentiles are."""
    assert not latency.compare("constant", 200.0, [turn(0, 0, 0, 0, 0, early=1)])["within"]
