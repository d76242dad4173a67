"""Quantiles of many numbers in little memory: a histogram whose buckets grow by a constant factor."""

import itertools
import math
from collections.abc import Iterable, Mapping
from typing import Final

ACCURACY: Final = 0.002
"""Relative error of the quantiles: 0.2 %."""
GAMMA: Final = 1 + 2 * ACCURACY / (1 - ACCURACY)
"""The factor by which buckets grow."""

_PER_DOUBLING: Final = math.log(2) / math.log1p(GAMMA - 1)
"""Buckets from one power of two to the next."""
_SMALLEST: Final = 1e-12
"""Smaller numbers count as zero."""


class Sketch:
    """Counts non-negative numbers and returns their quantiles within a relative error of ACCURACY.

    This is DDSketch (Masson, Rim and Lee, VLDB 2019, arXiv:1908.10693) without a limit on buckets. Bucket i holds the
    numbers above GAMMA^(i-1) and up to GAMMA^i, where GAMMA = (1 + ACCURACY) / (1 - ACCURACY). The relative distance of
    2 · GAMMA^i / (GAMMA + 1) from each of these numbers is at most ACCURACY, which therefore bounds the error of every
    quantile. Sketches of several replicas merge without loss.
    """

    __slots__ = ("buckets", "count", "total", "zeros")

    def __init__(self, buckets: Mapping[int, int] | None = None, zeros: int = 0) -> None:
        self.buckets = dict(buckets or {})
        """How many numbers each bucket holds."""
        self.zeros = zeros
        self.count = zeros + sum(self.buckets.values())
        """How many numbers were added."""
        self.total = 0.0
        """The sum of the numbers added on this replica; replicas do not exchange it."""

    def add(self, number: float) -> None:
        self.count += 1
        self.total += number
        if number < _SMALLEST:
            self.zeros += 1
        else:
            bucket = math.ceil(math.log2(number) * _PER_DOUBLING)
            self.buckets[bucket] = self.buckets.get(bucket, 0) + 1

    def quantiles(self, shares: Iterable[float]) -> list[float]:
        """Return the quantiles at these shares (0 to 1); 0 for an empty sketch.

        The rank is share × (count - 1), rounded down, as in the paper's algorithm 2.
        """
        filled = sorted(self.buckets.copy().items())  # copy: another thread may add a bucket meanwhile
        reached = list(itertools.accumulate((count for _, count in filled), initial=self.zeros))
        found = []
        for share in shares:
            rank = share * (reached[-1] - 1)
            place = next((place for place, below in enumerate(reached) if below > rank), 0)
            found.append(_middle(filled[place - 1][0]) if place else 0.0)
        return found


def _middle(bucket: int) -> float:
    return 2 * math.pow(2.0, bucket / _PER_DOUBLING) / (1 + GAMMA)
