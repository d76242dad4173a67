"""Which request starts when: a pure function of the scenario, the seed and the request's number."""

from bisect import bisect
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import accumulate
from math import sqrt
from struct import unpack
from typing import NamedTuple

from _scenarios import Load

USERS = 1000
"""How many customers there are; by Zipf's law the n-th is worth 1/n of the first."""

_ZIPF = list(accumulate(1 / rank for rank in range(1, USERS + 1)))
_GOLDEN = (sqrt(5) - 1) / 2


class Arrival(NamedTuple):
    """One request of the plan: its number, when it starts (seconds), its route, who sends it, two even draws."""

    number: int
    due: float
    route: str
    request_id: str
    user_id: str
    draws: tuple[float, float]


@dataclass(frozen=True)
class Plan:
    """All requests of one run, whoever sends them.

    They are evenly spaced, each at a seeded moment of its own slot: any stretch of time has the scenario's number of
    them, give or take one. Poisson arrivals would stray by ten percent in five seconds of 20 requests/s, which nobody
    could tell from lost traffic. Routes follow the golden ratio (a Kronecker sequence), so that any stretch has the
    scenario's mix, too, give or take a request or two.
    """

    scenario: str
    load: Load
    mix: Mapping[str, float]
    seed: int
    _routes: list[str] = field(init=False)
    _shares: list[float] = field(init=False)
    _shift: float = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_routes", list(self.mix))
        object.__setattr__(self, "_shares", list(accumulate(self.mix.values())))
        object.__setattr__(self, "_shift", self._draws(-1)[0])

    @property
    def total(self) -> int:
        """How many requests there are."""
        return int(self.load.total + 1e-6)

    def arrival(self, number: int) -> Arrival:
        """Return one request."""
        moment, who, *rest = self._draws(number)
        what = (self._shift + number * _GOLDEN) % 1.0 * self._shares[-1]
        return Arrival(
            number,
            self.load.due(number + moment),
            self._routes[min(bisect(self._shares, what), len(self._routes) - 1)],
            f"{self.scenario}-{self.seed}-{number}",
            f"u-{bisect(_ZIPF, who * _ZIPF[-1]) + 1:04}",
            (rest[0], rest[1]),
        )

    def part(self, index: int, count: int) -> Iterator[Arrival]:
        """Return every `count`-th request from the `index`-th on: the parts of `count` senders are the whole."""
        return map(self.arrival, range(index, self.total, count))

    def _draws(self, number: int) -> tuple[float, ...]:
        digest = blake2b(f"{self.scenario}/{self.seed}/{number}".encode(), digest_size=16).digest()
        return tuple(part / 2**32 for part in unpack("<4I", digest))
