"""The number of requests that ended and were answered: counted apart from Locust's statistics, which can be reset."""

from typing import Any

from _metrics import NO_ANSWER, status_of
from locust.env import Environment
from locust.runners import WorkerRunner

_KEY = "loadtest_answers"


class Answers:
    """Counts since the start of the run; a master adds up what its workers report."""

    def __init__(self, environment: Environment) -> None:
        self.requests = 0
        self.answered = 0
        events = environment.events
        events.test_start.add_listener(self._clear)  # type: ignore[no-untyped-call]  # Locust's is untyped
        events.request.add_listener(self._count)  # type: ignore[no-untyped-call]
        events.worker_report.add_listener(self._add)  # type: ignore[no-untyped-call]
        if isinstance(environment.runner, WorkerRunner):
            events.report_to_master.add_listener(self._report)  # type: ignore[no-untyped-call]
        if environment.reset_stats:  # by --reset-stats: conditions are about what comes after users have started
            events.spawning_complete.add_listener(self._clear)  # type: ignore[no-untyped-call]

    def _clear(self, **_: Any) -> None:
        self.requests = 0
        self.answered = 0

    def _count(self, *, response: Any, exception: Exception | None, **_: Any) -> None:
        self.requests += 1
        self.answered += status_of(response, exception) != NO_ANSWER

    def _report(self, data: dict[str, Any], **_: Any) -> None:
        data[_KEY] = (self.requests, self.answered)
        self._clear()

    def _add(self, data: dict[str, Any], **_: Any) -> None:
        requests, answered = data.get(_KEY, (0, 0))
        self.requests += requests
        self.answered += answered
