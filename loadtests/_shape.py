"""The shapes of load that Locust runs for a scenario."""

from math import ceil

from _coordinator import Coordinator
from _scenarios import Load
from locust import LoadTestShape

SPAWN_RATE = 100  # users per second; above it Locust warns of trouble


class ScenarioShape(LoadTestShape):
    """Base of both models; Locust calls `tick` about once a second."""

    abstract = True
    use_common_options = True  # keeps the web form's user fields on show, for a run without a scenario


class OpenShape(ScenarioShape):
    """One user in each sending process, until every request is answered."""

    def __init__(self, coordinator: Coordinator) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust's is untyped
        self._coordinator = coordinator

    def tick(self) -> tuple[int, float] | None:
        """Return the number of users and the spawn rate, or None at the end of the scenario."""
        return None if self._coordinator.is_finished() else (self._coordinator.parts, SPAWN_RATE)


class ClosedShape(ScenarioShape):
    """As many users as the scenario has requests per second, rounded up: each user sends one a second."""

    def __init__(self, load: Load) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust's is untyped
        self._load = load

    def tick(self) -> tuple[int, float] | None:
        """Return the number of users and the spawn rate, or None at the end of the scenario."""
        elapsed: float = self.get_run_time()  # type: ignore[no-untyped-call]  # Locust's is untyped
        return None if elapsed >= self._load.duration else (ceil(round(self._load.rate_at(elapsed), 6)), SPAWN_RATE)
