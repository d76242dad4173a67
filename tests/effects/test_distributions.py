"""Every distribution compared with its theory: Kolmogorov-Smirnov, false alarm one in a million."""

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError
from scipy import stats

from chaosapi.effects.distributions import Distribution
from chaosapi.faults.dice import Dice

READ: TypeAdapter[Any] = TypeAdapter(Distribution)


def samples(body: dict[str, Any], count: int = 5000) -> list[float]:
    """Draw as the service does: one number of the dice for each request."""
    distribution = READ.validate_python(body)
    dice = Dice.of(0, body["type"])
    return [distribution.sample(dice.draw(f"request-{number}")) for number in range(count)]


def quantile_curve(seconds: float) -> float:
    """Interpolate the distribution function of `QUANTILES` in log space."""
    knots = [(0.025, 0.0), (0.05, 0.5), (0.1, 0.9), (0.2, 0.95), (0.5, 0.99), (1.0, 1.0)]
    for (low, below), (high, above) in pairwise(knots):
        if low <= seconds <= high:
            return below + (above - below) * math.log(seconds / low) / math.log(high / low)
    return 0.0 if seconds < knots[0][0] else 1.0


QUANTILES = {"type": "quantiles", "p50": "50ms", "p90": "100ms", "p95": "200ms", "p99": "500ms", "max": "1s"}
SIGMA = math.log(0.9 / 0.12) / stats.norm.ppf(0.99)

THEORY: list[tuple[dict[str, Any], Callable[[float], float]]] = [
    ({"type": "uniform", "low": "50ms", "high": "150ms"}, stats.uniform(0.05, 0.1).cdf),
    ({"type": "normal", "mean": "200ms", "stddev": "20ms"}, stats.norm(0.2, 0.02).cdf),
    ({"type": "lognormal", "median": "120ms", "p99": "900ms"}, stats.lognorm(SIGMA, scale=0.12).cdf),
    ({"type": "exponential", "mean": "80ms"}, stats.expon(scale=0.08).cdf),
    ({"type": "pareto", "minimum": "10ms", "shape": 1.5}, stats.pareto(1.5, scale=0.01).cdf),
    (QUANTILES, quantile_curve),
    (
        {
            "type": "mixture",
            "components": [
                {"weight": 3, "distribution": {"type": "exponential", "mean": "10ms"}},
                {"weight": 1, "distribution": {"type": "uniform", "low": "1s", "high": "2s"}},
            ],
        },
        lambda x: 0.75 * stats.expon(scale=0.01).cdf(x) + 0.25 * stats.uniform(1, 1).cdf(x),
    ),
]


@pytest.mark.parametrize(("body", "theory"), THEORY, ids=lambda value: value["type"] if isinstance(value, dict) else "")
def test_five_thousand_samples_match_the_theory(body: dict[str, Any], theory: Callable[[float], float]) -> None:
    """They come from the requested distribution."""
    assert stats.kstest(samples(body), np.vectorize(theory)).pvalue > 1e-6


def test_the_theory_test_can_fail() -> None:
    """A median that is off by a tenth is detected."""
    wrong = stats.lognorm(SIGMA, scale=0.132).cdf
    assert stats.kstest(samples({"type": "lognormal", "median": "120ms", "p99": "900ms"}), wrong).pvalue < 1e-6


def test_constant_is_constant() -> None:
    """Every sample is the value."""
    assert set(samples({"type": "constant", "value": "30ms"}, 100)) == {0.03}


def test_a_negative_normal_sample_is_no_delay() -> None:
    """Half of a normal distribution around 0 is negative; false alarm one in a million."""
    drawn = samples({"type": "normal", "mean": 0, "stddev": "1s"})
    assert min(drawn) == 0
    assert stats.binomtest(drawn.count(0), len(drawn), 0.5).pvalue > 1e-6


@pytest.mark.parametrize("body", [body for body, _ in THEORY], ids=lambda body: body["type"])
@pytest.mark.parametrize("u", [0.0, 2.0**-53, 0.5, 1 - 2.0**-53])
def test_every_number_of_the_dice_gives_a_valid_delay(body: dict[str, Any], u: float) -> None:
    """Also at both ends of [0, 1): finite and not negative."""
    assert 0 <= READ.validate_python(body).sample(u) < math.inf


@pytest.mark.parametrize("body", [body for body, _ in THEORY if body["type"] != "mixture"], ids=lambda b: b["type"])
def test_sampling_is_monotonic(body: dict[str, Any]) -> None:
    """It uses the inverse of the distribution function."""
    distribution = READ.validate_python(body)
    drawn = [distribution.sample(step / 1000) for step in range(1000)]
    assert drawn == sorted(drawn)


@pytest.mark.parametrize(
    "body",
    [
        {"type": "uniform", "low": "2s", "high": "1s"},
        {"type": "lognormal", "median": "2s", "p99": "1s"},
        {"type": "lognormal", "median": 0, "p99": "1s"},
        {"type": "pareto", "minimum": "1s", "shape": 0},
        {**QUANTILES, "p90": "40ms"},
        {**QUANTILES, "min": "60ms"},
        {"type": "mixture", "components": []},
        {"type": "mixture", "components": [{"weight": 0, "distribution": {"type": "constant", "value": 1}}]},
        {"type": "gamma"},
    ],
)
def test_an_invalid_distribution_is_refused(body: dict[str, Any]) -> None:
    """Wrong order of percentiles, zeros and unknown kinds."""
    with pytest.raises(ValidationError):
        READ.validate_python(body)
