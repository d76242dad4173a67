"""A scenario as Locust runs it."""

from math import ceil

from _conductor import Conductor
from _scenarios import Load
from locust import LoadTestShape

SPAWN_RATE = 100  # users per second; above it Locust warns of trouble


class ScenarioShape(LoadTestShape):
    """What both models share; Locust asks about once a second."""

    abstract = True
    use_common_options = True  # keeps the web form's user fields on show, for a run without a scenario


class OpenShape(ScenarioShape):
    """One user in each process that sends, until every request was due and answered."""

    def __init__(self, conductor: Conductor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust's is untyped
        self._conductor = conductor

    def tick(self) -> tuple[int, float] | None:
        """Return the users wanted now and how fast to get there, or None when the scenario is over."""
        return None if self._conductor.over() else (self._conductor.parts, SPAWN_RATE)


class ClosedShape(ScenarioShape):
    """As many users as the scenario wants requests per second, since each makes one; a part of a user is one, too."""

    def __init__(self, load: Load) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Locust's is untyped
        self._load = load

    def tick(self) -> tuple[int, float] | None:
        """Return the users wanted now and how fast to get there, or None when the scenario is over."""
        elapsed: float = self.get_run_time()  # type: ignore[no-untyped-call]  # Locust's is untyped
        return None if elapsed >= self._load.duration else (ceil(round(self._load.rate_at(elapsed), 6)), SPAWN_RATE)
