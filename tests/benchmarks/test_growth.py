from collections.abc import Callable

import pytest

from tests.benchmarks.pure import module

growth = module("growth")
BY_FAULTS = (0, 1, 10, 50, 100)
BY_ROUTES = (10, 100, 300, 1000)


def curve(places: tuple[int, ...], cost: Callable[[int], float]) -> list[tuple[float, float]]:
    """Draw a function."""
    return [(at, cost(at)) for at in places]


@pytest.mark.parametrize("places", [BY_FAULTS, BY_ROUTES])
def test_the_growth_of_a_curve_does_not_depend_on_its_offset(places: tuple[int, ...]) -> None:
    """A square with a high offset is not linear."""
    most = places[-1]
    assert growth.verdict(curve(places, lambda at: 100 + 20 * at / most)) == "flat"
    assert growth.verdict(curve(places, lambda at: 100 + 50 * at / most)) == "linear"
    assert growth.verdict(curve(places, lambda at: 100 + 50 * (at / most) ** 2)) == "worse than linear"
    assert growth.verdict(curve(places, lambda at: 1 + 500 * (at / most) ** 2)) == "worse than linear"


def test_a_hump_is_not_flat() -> None:
    """The last point may be as low as the first."""
    assert growth.verdict([(0, 100), (1, 100), (10, 160), (50, 100), (100, 100)]) != "flat"


def test_a_falling_curve_is_found_with_its_minimum_anywhere() -> None:
    """At most a third of the requests per second may be lost."""
    assert growth.verdict([(0, 100), (1000, 70), (5000, 80)], falls=True) == "flat"
    assert growth.verdict([(0, 100), (1000, 60), (5000, 100)], falls=True) == "worse than linear"
