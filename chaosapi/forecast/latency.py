"""The probability that a delay stays within a limit: the distribution function, computed from its inverse."""

from chaosapi.effects.distributions import Distribution, Mixture

_ALMOST_ONE = 1 - 2.0**-53
_HALVINGS = 53  # as many bits as a uniform number has


def within(distribution: Distribution, limit: float) -> float:
    """Return P(delay ≤ limit) for a limit in seconds, to 2⁻⁵³.

    `sample` is the inverse of the distribution function and grows with u, so bisection finds the largest u that
    stays within the limit. A mixture's `sample` is not monotonic; its probability is the weighted
    sum over its parts.
    """
    if isinstance(distribution, Mixture):
        total = sum(part.weight for part in distribution.components)
        return sum(part.weight / total * within(part.distribution, limit) for part in distribution.components)
    if distribution.sample(0.0) > limit:
        return 0.0
    if distribution.sample(_ALMOST_ONE) <= limit:
        return 1.0
    low = 0.0
    high = 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if distribution.sample(middle) <= limit else (low, middle)
    return low


def count_components(distribution: Distribution) -> int:
    """Count the distributions of a mixture; 1 for any other distribution."""
    if isinstance(distribution, Mixture):
        return sum(count_components(each.distribution) for each in distribution.components)
    return 1
