"""Latency distributions: a tagged union, each a function from a uniform number in [0, 1) to seconds.

Sampling by the inverse of the distribution function (Devroye, Non-Uniform Random Variate Generation, ch. II) needs just
one number a sample. That number comes from the fault's dice, so a replay repeats every delay.
"""

import math
from itertools import pairwise
from statistics import NormalDist
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import Duration
from chaosapi.models import Model, Number

_STANDARD_NORMAL = NormalDist()
_Z99 = _STANDARD_NORMAL.inv_cdf(0.99)
_MIN_U = 2.0**-53  # inv_cdf is open at 0

Positive = Annotated[Duration, Field(ge=1e-6)]
"""At least a microsecond, so that the ratio of two such durations overflows no formula below."""


def _check_order(what: str, values: list[float]) -> None:
    if any(low > high for low, high in pairwise(values)):
        raise PydanticCustomError("order", "must not fall: {what}", {"what": what})


class Constant(Model):
    """Always the same delay."""

    type: Literal["constant"] = "constant"
    value: Duration
    """The delay."""

    def sample(self, u: float) -> float:
        """Return the delay in seconds."""
        return self.value


class Uniform(Model):
    """Any delay from `low` to `high`, all equally likely."""

    type: Literal["uniform"] = "uniform"
    low: Duration = 0.0
    """The shortest delay."""
    high: Duration
    """The longest delay."""

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        _check_order("low ≤ high", [self.low, self.high])
        return self

    def sample(self, u: float) -> float:
        """Return the delay in seconds for u in [0, 1)."""
        return self.low + u * (self.high - self.low)


class Normal(Model):
    """The bell curve; a draw below zero counts as no delay."""

    type: Literal["normal"] = "normal"
    mean: Duration
    """The mean, also the median."""
    stddev: Duration
    """The standard deviation."""

    def sample(self, u: float) -> float:
        """Return the delay in seconds for u in [0, 1)."""
        return max(0.0, self.mean + self.stddev * _STANDARD_NORMAL.inv_cdf(max(u, _MIN_U)))


class Lognormal(Model):
    """The usual shape of service latency: many fast, a long tail; given by its median and its p99."""

    type: Literal["lognormal"] = "lognormal"
    median: Positive
    """Half of the delays are shorter."""
    p99: Positive
    """One delay in a hundred is longer."""

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        _check_order("median ≤ p99", [self.median, self.p99])
        return self

    def sample(self, u: float) -> float:
        """Return the delay in seconds for u in [0, 1): ln X is normal, sigma = ln(p99 / median) / z(0.99)."""
        sigma = math.log(self.p99 / self.median) / _Z99
        return self.median * math.exp(sigma * _STANDARD_NORMAL.inv_cdf(max(u, _MIN_U)))


class Exponential(Model):
    """The waiting time for something that happens at a steady average rate."""

    type: Literal["exponential"] = "exponential"
    mean: Duration
    """The mean delay."""

    def sample(self, u: float) -> float:
        """Return the delay in seconds for u in [0, 1)."""
        return -self.mean * math.log1p(-u)


class Pareto(Model):
    """A heavy tail: never below `minimum`; the smaller the `shape`, the heavier. Set a `cap` on the effect."""

    type: Literal["pareto"] = "pareto"
    minimum: Positive
    """The shortest delay."""
    shape: Annotated[Number, Field(ge=0.1, le=100)]
    """The tail index alpha: at 2 or less the variance is infinite, at 1 or less the mean is."""

    def sample(self, u: float) -> float:
        """Return the delay in seconds for u in [0, 1)."""
        return self.minimum * math.pow(1 - u, -1 / self.shape)


class Quantiles(Model):
    """Percentiles as read off a dashboard, interpolated in log space (straight lines on a log-latency plot)."""

    type: Literal["quantiles"] = "quantiles"
    min: Positive | None = None
    """The shortest delay; half of the p50 unless given."""
    p50: Positive
    p90: Positive
    p95: Positive
    p99: Positive
    max: Positive

    @model_validator(mode="after")
    def _check_values(self) -> Self:
        _check_order("min ≤ p50 ≤ p90 ≤ p95 ≤ p99 ≤ max", [delay for _, delay in self._knots()])
        return self

    def _knots(self) -> list[tuple[float, float]]:
        lowest = self.p50 / 2 if self.min is None else self.min
        return [(0, lowest), (0.5, self.p50), (0.9, self.p90), (0.95, self.p95), (0.99, self.p99), (1, self.max)]

    def sample(self, u: float) -> float:
        """Return the delay in seconds for u in [0, 1)."""
        for (below, low), (above, high) in pairwise(self._knots()):
            if u < above:
                return low * math.pow(high / low, (u - below) / (above - below))
        return self.max


class Component(Model):
    """One part of a mixture."""

    weight: Annotated[Number, Field(gt=0, le=1e6)]
    """How often this part is drawn, relative to the other parts."""
    distribution: "Distribution"


class Mixture(Model):
    """Several distributions in one, such as cache hits and misses: each drawn in proportion to its weight."""

    type: Literal["mixture"] = "mixture"
    components: Annotated[list[Component], Field(min_length=1, max_length=10)]

    def sample(self, u: float) -> float:
        """Return the delay in seconds for u in [0, 1): u picks the part, and its place within the part draws again."""
        place = u * sum(part.weight for part in self.components)
        for part in self.components:
            if place < part.weight:
                return part.distribution.sample(place / part.weight)
            place -= part.weight
        return self.components[-1].distribution.sample(math.nextafter(1, 0))


def _default_to_constant(value: Any) -> Any:
    return {"type": "constant", **value} if isinstance(value, dict) and "value" in value else value


Distribution = Annotated[
    Constant | Uniform | Normal | Lognormal | Exponential | Pareto | Quantiles | Mixture,
    Field(discriminator="type"),
    BeforeValidator(_default_to_constant),
]
"""Without a type, a distribution with a `value` is constant."""

Component.model_rebuild()
