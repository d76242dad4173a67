"""What was chosen, and one process's part in sending it."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from _arrivals import Arrival, Plan
from _retries import POLICIES, Policy
from _scenarios import SCENARIOS, Load, Scenario
from gevent.event import Event


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A scenario and its numbers, as plain data that a master can send; None is the scenario's own.

    `inflight` is how many requests a process may have under way. From `budget_after` on (seconds) retries are budgeted.
    """

    name: str
    model: str = "open"
    rate: float | None = None
    peak: float | None = None
    duration: float | None = None
    scale: float = 1.0
    seed: int = 0
    retries: str | None = None
    budget_after: float | None = None
    inflight: int = 1000

    @property
    def scenario(self) -> Scenario:
        """Return the scenario."""
        return SCENARIOS[self.name]

    def load(self) -> Load:
        """Return the requests/s over time; raises ValueError with what would be right."""
        return self.scenario.load(rate=self.rate, peak=self.peak, duration=self.duration, scale=self.scale)

    def plan(self) -> Plan:
        """Return every request."""
        return Plan(self.name, self.load(), self.scenario.mix, self.seed)

    def policy(self, seconds: float) -> Policy:
        """Return what clients do about failures at this time of the run."""
        policy = POLICIES[self.retries or self.scenario.retries]
        late = self.budget_after is not None and seconds >= self.budget_after
        return policy.budgeted() if late else policy


@dataclass
class Tally:
    """What became of the plan so far; `late` is the latest start, in seconds after it was due."""

    planned: int = 0
    retries: int = 0
    late: float = 0.0
    done: bool = False
    missed: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Take in another process's tally."""
        self.planned += other.planned
        self.retries += other.retries
        self.late = max(self.late, other.late)
        self.missed += other.missed

    def as_dict(self) -> dict[str, Any]:
        """Return plain data to be sent."""
        return {**vars(self), "missed": dict(self.missed)}

    @classmethod
    def of(cls, data: dict[str, Any]) -> "Tally":
        """Read what `as_dict` gave."""
        return cls(**{**data, "missed": Counter(data["missed"])})


class Run:
    """The `index`-th of `count` parts of a run that starts at `start` (of the performance counter).

    The nonce is the run's own: the shop knows the carts and keys of earlier runs with the seed, and would sell nothing.
    """

    def __init__(self, choice: Choice, index: int, count: int, start: float, nonce: str) -> None:
        self.choice = choice
        self.start = start
        self.tally = Tally()
        self.stopping = Event()
        self.load = choice.load()
        self._plan = choice.plan()
        self._index = index
        self._count = count
        self._nonce = nonce
        self._taken = False

    def take(self) -> bool:
        """Return True to the first caller, which then owns the part."""
        self._taken, before = True, self._taken
        return not before

    def arrivals(self) -> Iterator[Arrival]:
        """Return the requests of this part in the order in which they are due."""
        return self._plan.part(self._index, self._count)

    def stock(self, number: int) -> str:
        """Return the id of the request that fills a cart of this part before the start: the same in equal runs."""
        return f"{self.choice.name}-{self.choice.seed}-stock-{self._index}-{number}"

    def cart(self, request_id: str) -> str:
        """Return the name of the cart that a request makes, which is the key of its purchase, too."""
        return f"{request_id}-{self._nonce}"

    def rate_at(self, now: float) -> float:
        """Return this part's requests/s now, 0 once it is over."""
        over = self.stopping.is_set() or self.tally.done
        return 0.0 if over else self.load.rate_at(now - self.start) / self._count
