"""Retry policies of the clients: some cause a retry storm, some avoid it."""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Policy:
    """How often a client retries, and its back-off (`wait` in seconds, doubled each time).

    With jitter a wait is drawn evenly from 0 to the back-off ("full jitter"). A budget is the retries per request.
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
        """Return the policy with a retry budget."""
        return self if self.budget else replace(self, budget=_BUDGET)


_BUDGET = 0.1

POLICIES = {
    "none": Policy("no retries"),
    "naive": Policy("three more times, at once", retries=3),
    "backoff": Policy("three more times, after 100, 200 and 400 ms", retries=3, wait=0.1),
    "jitter": Policy("three more times, after a random part of 100, 200 and 400 ms", retries=3, wait=0.1, jitter=True),
    "budget": Policy("the same, but at most one retry for ten requests", 3, 0.1, jitter=True, budget=_BUDGET),
}


class Budget:
    """A retry budget as a token bucket: each request adds a part of a token, each retry costs one; it starts full."""

    _MOST = 10.0

    def __init__(self) -> None:
        self._tokens = self._MOST

    def earn(self, policy: Policy) -> None:
        """Add the tokens of a first attempt."""
        self._tokens = min(self._MOST, self._tokens + (policy.budget or 0.0))

    def allows(self, policy: Policy) -> bool:
        """Return whether a retry is allowed, and take its token; a policy without a budget allows all."""
        if policy.budget is None:
            return True
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
