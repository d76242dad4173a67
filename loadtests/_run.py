"""The options of a run, and the part of it that one process sends."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from _arrivals import Arrival, Plan, request_id
from _retries import POLICIES, Policy
from _scenarios import SCENARIOS, Load, Scenario
from gevent.event import Event


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A scenario and its numbers, as plain data that a master can send; None stands for the scenario's default.

    `inflight` limits the requests in flight of each process. From `budget_after` on (seconds) retries are budgeted.
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
        return SCENARIOS[self.name]

    def load(self) -> Load:
        """Return the requests/s over time; raises ValueError with what would be right."""
        return self.scenario.load(rate=self.rate, peak=self.peak, duration=self.duration, scale=self.scale)

    def plan(self) -> Plan:
        """Return all requests of the run."""
        return Plan(self.name, self.load(), self.scenario.mix, self.seed)

    def policy(self, seconds: float) -> Policy:
        """Return the retry policy at this time of the run."""
        policy = POLICIES[self.retries or self.scenario.retries]
        late = self.budget_after is not None and seconds >= self.budget_after
        return policy.budgeted() if late else policy


@dataclass
class Tally:
    """Counts of the requests so far; `late` is the longest delay of a start, in seconds."""

    planned: int = 0
    retries: int = 0
    late: float = 0.0
    done: bool = False
    missed: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Tally") -> None:
        """Add the counts of another process."""
        self.planned += other.planned
        self.retries += other.retries
        self.late = max(self.late, other.late)
        self.missed += other.missed

    def as_dict(self) -> dict[str, Any]:
        """Return the tally as plain data."""
        return {**vars(self), "missed": dict(self.missed)}

    @classmethod
    def of(cls, data: dict[str, Any]) -> "Tally":
        """Return the tally that `as_dict` wrote."""
        return cls(**{**data, "missed": Counter(data["missed"])})


class Run:
    """The `index`-th of `count` parts of a run that starts at `start` (of the performance counter).

    The nonce is unique to the run: the shop remembers carts and keys of earlier runs with the same seed.
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
        self._claimed = False

    def claim(self) -> bool:
        """Return True to the first caller, which then owns the part."""
        first = not self._claimed
        self._claimed = True
        return first

    def arrivals(self) -> Iterator[Arrival]:
        """Return the requests of this part in the order in which they are due."""
        return self._plan.part(self._index, self._count)

    def prefill_id(self, number: int) -> str:
        """Return the request id of a cart that is filled before the start; equal runs have equal ids."""
        return request_id(self.choice.name, self.choice.seed, f"stock-{self._index}-{number}")

    def cart_id(self, request_id: str) -> str:
        """Return the id of the cart that a request fills, which is also the idempotency key of its purchase."""
        return f"{request_id}-{self._nonce}"

    def rate_at(self, now: float) -> float:
        """Return this part's planned requests per second; 0 when it has ended."""
        ended = self.stopping.is_set() or self.tally.done
        return 0.0 if ended else self.load.rate_at(now - self.start) / self._count
