"""The arrival times of requests: a pure function of the scenario, the seed and the number of the request."""

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
"""Number of customers; by Zipf's law the n-th sends 1/n of the requests of the first."""

_ZIPF = list(accumulate(1 / rank for rank in range(1, USERS + 1)))
_GOLDEN = (sqrt(5) - 1) / 2


def request_id(scenario: str, seed: int, name: object) -> str:
    """Return the id of a request: the same for the same scenario, seed and name, and it tells none of them."""
    return blake2b(f"{scenario}/{seed}/{name}".encode(), digest_size=10, person=b"request id").hexdigest()


class Arrival(NamedTuple):
    """One request of the plan: its number, start (seconds), route, request id, user, and two uniform random numbers."""

    number: int
    due: float
    route: str
    request_id: str
    user_id: str
    draws: tuple[float, float]


@dataclass(frozen=True)
class Plan:
    """All requests of one run, over all processes.

    Each request starts at a seeded moment of its own slot, so that any interval has the scenario's number of requests,
    plus or minus one. Poisson arrivals would vary by ten percent over five seconds of 20 requests/s, as lost traffic
    does. Routes follow the golden ratio (a Kronecker sequence), so that any interval also has the scenario's mix.
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
        """Return the number of requests."""
        return int(self.load.total + 1e-6)

    def arrival(self, number: int) -> Arrival:
        """Return the request with this number."""
        moment, who, *rest = self._draws(number)
        what = (self._shift + number * _GOLDEN) % 1.0 * self._shares[-1]
        return Arrival(
            number,
            self.load.due(number + moment),
            self._routes[min(bisect(self._shares, what), len(self._routes) - 1)],
            request_id(self.scenario, self.seed, number),
            f"u-{bisect(_ZIPF, who * _ZIPF[-1]) + 1:04}",
            (rest[0], rest[1]),
        )

    def part(self, index: int, count: int) -> Iterator[Arrival]:
        """Return every `count`-th request from the `index`-th on: the parts of `count` senders are the whole."""
        return map(self.arrival, range(index, self.total, count))

    def _draws(self, number: int) -> tuple[float, ...]:
        digest = blake2b(f"{self.scenario}/{self.seed}/{number}".encode(), digest_size=16).digest()
        return tuple(part / 2**32 for part in unpack("<4I", digest))
