import pytest
from pydantic import TypeAdapter

from chaosapi.effects.distributions import Distribution
from chaosapi.forecast import latency

DISTRIBUTION: TypeAdapter[Distribution] = TypeAdapter(Distribution)


@pytest.mark.parametrize(
    ("distribution", "limit", "chance"),
    [
        ({"type": "constant", "value": "250ms"}, 0.25, 1),
        ({"type": "constant", "value": "250ms"}, 0.249, 0),
        ({"type": "uniform", "low": "0s", "high": "1s"}, 0.25, 0.25),
        ({"type": "exponential", "mean": "1s"}, 1.0, 1 - 2.718281828459045**-1),
        ({"type": "lognormal", "median": "120ms", "p99": "900ms"}, 0.9, 0.99),
        ({"type": "pareto", "minimum": "1s", "shape": 2}, 2.0, 0.75),
        ({"type": "quantiles", "p50": 0.1, "p90": 0.2, "p95": 0.3, "p99": 1, "max": 2}, 0.3, 0.95),
    ],
)
def test_the_distribution_function(distribution: object, limit: float, chance: float) -> None:
    """The closed formulas equal the values that are computed from the inverse."""
    assert latency.within(DISTRIBUTION.validate_python(distribution), limit) == pytest.approx(chance, abs=1e-12)


def test_a_mixtures_distribution_is_the_sum_of_its_parts() -> None:
    """Its inverse is not monotonic, so bisection would fail: slow samples first, then fast ones."""
    parts = [
        {"weight": 1, "distribution": {"type": "constant", "value": "1s"}},
        {"weight": 3, "distribution": {"type": "constant", "value": "1ms"}},
    ]
    mixture = DISTRIBUTION.validate_python({"type": "mixture", "components": parts})
    assert latency.within(mixture, 0.5) == pytest.approx(0.75)
