import re
from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from tests.loadtests.pure import module

MODULE: Any = module("_arrivals")
SCENARIOS: dict[str, Any] = module("_scenarios").SCENARIOS


def plan(name: str = "spike", seed: int = 7) -> Any:
    """Return the plan of a scenario in a minute."""
    scenario = SCENARIOS[name]
    return MODULE.Plan(name, scenario.load(duration=60), scenario.mix, seed)


def test_the_same_seed_gives_the_same_requests() -> None:
    """All of a request follows from scenario, seed and number; another seed gives other moments, ids and users."""
    first, again, other = (list(each.part(0, 1)) for each in (plan(), plan(), plan(seed=8)))
    assert first == again
    assert not re.search("spike|-7-", first[5].request_id)
    assert len({each.request_id for each in first}) == len(first)
    assert not {each.request_id for each in first} & {each.request_id for each in other}
    assert [each.due for each in first] != [each.due for each in other]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_the_parts_of_all_processes_are_the_whole_plan(count: int) -> None:
    """For any number of processes, each request is sent by exactly one, and each sends its share."""
    parts = [list(plan().part(index, count)) for index in range(count)]
    assert sorted(each for part in parts for each in part) == list(plan().part(0, 1))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


@pytest.mark.parametrize("name", SCENARIOS)
def test_any_stretch_has_the_planned_number(name: str) -> None:
    """Arrivals lie within their slots, so that their count never strays more than one from the integral."""
    made = plan(name)
    arrivals = list(made.part(0, 1))
    assert len(arrivals) == made.total
    assert all(one.due <= two.due for one, two in pairwise(arrivals))
    for number, each in enumerate(arrivals):
        assert number - 1e-6 <= made.load.arrived(each.due) <= number + 1 + 1e-6


@pytest.mark.parametrize("name", ["spike", "flash-sale"])
def test_any_stretch_has_the_mix(name: str) -> None:
    """Each route gets its share of any hundred requests, give or take three."""
    made = plan(name)
    arrivals = list(made.part(0, 1))
    for start in range(0, len(arrivals) - 100, 37):
        seen = Counter(each.route for each in arrivals[start : start + 100])
        for route, share in made.mix.items():
            assert abs(seen[route] - 100 * share) <= 3


def test_few_users_send_much() -> None:
    """By Zipf's law the first of a thousand users sends 1/7.49 of the requests, the second half of that.

    Binomial with n = 10,000: 5 standard deviations are 0.017; a false alarm has a chance below one in a million.
    """
    made = MODULE.Plan("steady", SCENARIOS["steady"].load(rate=100, duration=100), SCENARIOS["steady"].mix, 1)
    users = Counter(each.user_id for each in made.part(0, 1))
    assert users["u-0001"] / 10_000 == pytest.approx(1 / 7.485, abs=0.017)
    assert users["u-0002"] / 10_000 == pytest.approx(1 / 7.485 / 2, abs=0.0125)
