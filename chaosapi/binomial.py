"""How many hits of a random rate to expect: the range of a binomial number."""

from collections.abc import Mapping
from itertools import accumulate
from math import exp, floor, lgamma, log, sqrt
from typing import Any, Final

LEVEL: Final = 0.95
"""A number of hits is in its expected range with this probability, or more."""

LIMITS: Final = ("rate_limit", "capacity")
"""Effects that act on what is over a limit, of the requests that the dice hit."""

_TAIL: Final = (1 - LEVEL) / 2
_NORMAL: Final = 1.959964
"""The normal distribution is within so many standard deviations of its mean with the same probability."""
_EXACT_VARIANCE: Final = 1e6
"""Above it the normal distribution gives the same range, to a thousandth of its width."""
_REACH: Final = 10
"""The probability beyond so many standard deviations is lost in rounding."""


def expected_hits(trials: int, chance: float) -> tuple[int, int]:
    """Return the lowest and the highest number of hits to expect.

    Fewer hits, and more hits, have a probability of at most (1 - LEVEL) / 2 each. Where chances differ from trial to
    trial and `chance` is their mean, hits spread less.
    """
    if trials <= 0 or chance <= 0:
        return 0, 0
    if chance >= 1:
        return trials, trials
    mean = trials * chance
    deviation = sqrt(mean * (1 - chance))
    reach = _NORMAL * deviation if deviation**2 > _EXACT_VARIANCE else _REACH * (deviation + 1)
    first = max(0, floor(mean - reach))
    last = min(trials, floor(mean + reach) + 1)
    if deviation**2 > _EXACT_VARIANCE:
        return first, last
    sums = list(accumulate(_probability(trials, chance, hits) for hits in range(first, last + 1)))
    low = next(number for number, total in enumerate(sums) if total > _TAIL)
    high = next((number for number, total in enumerate(sums) if total >= 1 - _TAIL), len(sums) - 1)
    return first + low, first + high


def expected_range(fault: Mapping[str, Any]) -> tuple[float, float] | None:
    """Return the range of the share of requests that a fault of the admin API hits, as a part of those that matched.

    None where the dice do not decide on each request alone: all are hit, all of a user's, those over a limit, or
    none while a condition did not hold.
    """
    receipt = fault["receipt"]
    matched = receipt["matched"]
    rate = receipt["requested_rate"]
    by_limit = fault["effect"]["type"] in LIMITS
    of_all = not by_limit and not fault["target"]["sticky_by"] and not receipt.get("spared")
    if not matched or not 0 < rate < 1 or not of_all:
        return None
    low, high = expected_hits(matched, rate)
    return low / matched, high / matched


def _probability(trials: int, chance: float, hits: int) -> float:
    ways = lgamma(trials + 1) - lgamma(hits + 1) - lgamma(trials - hits + 1)
    return exp(ways + hits * log(chance) + (trials - hits) * log(1 - chance))
