"""A scenario as Locust runs it."""

from _scenarios import Scenario
from locust import LoadTestShape

SPAWN_RATE = 100  # users per second; above it Locust warns of trouble


class ScenarioShape(LoadTestShape):
    """Keeps as many users as the scenario wants requests per second, since each user makes one."""

    use_common_options = True  # keeps the web form's user fields on show, for a run without a scenario

    def __init__(self, scenario: Scenario) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust's is untyped
        self._scenario = scenario

    def tick(self) -> tuple[int, float] | None:
        """Return the users wanted now and how fast to get there, or None when the scenario is over."""
        elapsed: float = self.get_run_time()  # type: ignore[no-untyped-call]  # Locust's is untyped
        if elapsed >= self._scenario.duration:
            return None
        return self._scenario.rate_at(elapsed), SPAWN_RATE
