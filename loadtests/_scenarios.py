"""What each scenario asks for at each moment: pure functions of time that know nothing of Locust."""

from abc import ABC, abstractmethod
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Scenario(ABC):
    """A traffic pattern.

    rate and peak are requests per second, duration is in seconds. Raises ValueError, with the number that would be
    right, when one of them is out of range.
    """

    rate: int
    peak: int
    duration: float

    def __post_init__(self) -> None:
        if self.rate < 1:
            raise ValueError(f"the rate is {self.rate} requests/s; it must be at least 1")
        if self.duration <= 0:
            raise ValueError(f"the duration is {self.duration} s; it must be longer than 0 s")

    @abstractmethod
    def rate_at(self, elapsed: float) -> int:
        """Return the requests per second wanted `elapsed` seconds after the start, while `elapsed` < duration."""


class Steady(Scenario):
    """An even rate for the whole duration, the background against which a fault shows."""

    def rate_at(self, elapsed: float) -> int:  # noqa: ARG002 - even means: whatever the time is
        """Return the rate."""
        return self.rate


class Spike(Scenario):
    """The rate, then at once the peak for the middle third of the duration, then the rate again: a link went viral."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.peak <= self.rate:
            raise ValueError(f"the peak is {self.peak} requests/s; it must be above the rate, {self.rate}")

    def rate_at(self, elapsed: float) -> int:
        """Return the peak in the middle third, else the rate."""
        return self.peak if self.duration <= 3 * elapsed < 2 * self.duration else self.rate


SCENARIOS: dict[str, type[Scenario]] = {"steady": Steady, "spike": Spike}
