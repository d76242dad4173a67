import random

import pytest
from scipy.stats import binom

from chaosapi.binomial import LEVEL, LIMITS, expected_hits, expected_range
from chaosapi.effects import EFFECTS, RequestEffect


@pytest.mark.parametrize("trials", [1, 2, 10, 100, 520, 12_345])
@pytest.mark.parametrize("chance", [0.001, 0.05, 0.2, 0.5, 0.9, 0.9999])
def test_the_range_is_the_central_one(trials: int, chance: float) -> None:
    """As scipy computes its ends."""
    tail = (1 - LEVEL) / 2
    assert expected_hits(trials, chance) == (binom.ppf(tail, trials, chance), binom.ppf(1 - tail, trials, chance))


def test_millions_of_trials_take_no_time() -> None:
    """Their range is that of the normal distribution."""
    low, high = expected_hits(100_000_000, 0.2)
    assert (low, high) == pytest.approx((binom.ppf(0.025, 1e8, 0.2), binom.ppf(0.975, 1e8, 0.2)), abs=4)


@pytest.mark.parametrize(("chance", "hits"), [(0, (0, 0)), (1, (7, 7))])
def test_a_sure_outcome_has_no_range(chance: float, hits: tuple[int, int]) -> None:
    """Neither has no trial."""
    assert expected_hits(7, chance) == hits
    assert expected_hits(0, 0.5) == (0, 0)


def test_nineteen_of_twenty_runs_are_in_the_range() -> None:
    """Also where chances differ and their mean is given. A false alarm has a chance below one in a million."""
    dice = random.Random(7)
    chances = [0.1, 0.3] * 260
    low, high = expected_hits(520, 0.2)
    inside = sum(low <= sum(dice.random() < chance for chance in chances) <= high for _ in range(2000))
    assert inside / 2000 > LEVEL - 5 * (LEVEL * (1 - LEVEL) / 2000) ** 0.5


def test_the_range_of_the_demos_fault() -> None:
    """Asked for 20 % of 520 requests."""
    fault = {
        "effect": {"type": "error"},
        "target": {"sticky_by": None},
        "receipt": {"matched": 520, "requested_rate": 0.2},
    }
    assert expected_range(fault) == pytest.approx((0.165, 0.235), abs=0.0005)
    assert expected_range({**fault, "effect": {"type": LIMITS[0]}}) is None


def test_the_limits_are_the_effects_that_let_requests_pass() -> None:
    """The list is a copy, for clients of the admin API that know no effects."""
    on_requests = [effect for effect in EFFECTS if issubclass(effect, RequestEffect)]
    assert {effect.model_fields["type"].default for effect in on_requests if effect.gate} == set(LIMITS)
