"""When clients try again: the policies that make, or avoid, a retry storm."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Policy:
    """How often a request is tried again, and how long clients wait before (seconds, doubled each time).

    With jitter a wait is drawn evenly from 0 to that ("full jitter"). A budget allows so many retries for each request.
    """

    story: str
    retries: int = 0
    wait: float = 0.0
    jitter: bool = False
    budget: float | None = None

    def pause(self, tried: int, draw: float) -> float:
        """Return the wait before retry number `tried` (from 1 on); the draw is from 0 to 1."""
        longest: float = self.wait * 2 ** (tried - 1)
        return draw * longest if self.jitter else longest

    def budgeted(self) -> "Policy":
        """Return the same policy within a budget."""
        return self if self.budget else replace(self, budget=_BUDGET)


_BUDGET = 0.1

POLICIES = {
    "none": Policy("nobody tries again"),
    "naive": Policy("three more times, at once", retries=3),
    "backoff": Policy("three more times, after 100, 200 and 400 ms", retries=3, wait=0.1),
    "jitter": Policy("three more times, after a random part of 100, 200 and 400 ms", retries=3, wait=0.1, jitter=True),
    "budget": Policy("the same, but at most one retry for ten requests", 3, 0.1, jitter=True, budget=_BUDGET),
}


class Budget:
    """A token bucket: each request earns a part of a retry, each retry costs one; a few are there from the start."""

    _MOST = 10.0

    def __init__(self) -> None:
        self._tokens = self._MOST

    def earn(self, policy: Policy) -> None:
        """Note a first try."""
        self._tokens = min(self._MOST, self._tokens + (policy.budget or 0.0))

    def allows(self, policy: Policy) -> bool:
        """Return whether a retry may be made, and take its price; a policy without a budget allows all."""
        if policy.budget is None:
            return True
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
