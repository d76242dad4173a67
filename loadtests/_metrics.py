"""Request metrics of the clients, for Prometheus: the service does not see a reset or a hang as its clients do.

Each process that sends serves its own numbers and Prometheus sums them: a master would have them only every three
seconds, which is too coarse for burn rates over five. `--processes 3` takes three ports.
"""

from collections.abc import Callable
from time import perf_counter
from typing import Any

from _run import Choice, Run
from _scenarios import ERRORS_FROM_START, MIX
from gevent.pywsgi import WSGIServer
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    disable_created_metrics,
    make_wsgi_app,
)

BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
NO_ANSWER = "000"
REASONS = ("saturated", "late", "unanswered", "broken")

disable_created_metrics()  # type: ignore[no-untyped-call]  # _created series only double the scrape


class ClientMetrics:
    """Requests as clients see them, and how closely the plan is kept."""

    def __init__(self, registry: CollectorRegistry) -> None:
        labels = ("method", "handler", "status")
        self._total = Counter("loadtest_requests_total", "Requests by what came back.", labels, registry=registry)
        self._duration = Histogram(
            "loadtest_request_duration_seconds",
            "From the planned start to the last byte of the answer.",
            labels,
            buckets=BUCKETS,
            registry=registry,
        )
        self.planned = Counter("loadtest_planned_total", "Requests that were due so far.", registry=registry)
        self.missed = Counter(
            "loadtest_missed_total",
            "Planned requests that were not sent, or had no answer.",
            ["reason"],
            registry=registry,
        )
        self.retries = Counter("loadtest_retries_total", "Requests sent again.", registry=registry)
        self.inflight = Gauge("loadtest_inflight", "Requests in flight.", registry=registry)
        self._rate = Gauge("loadtest_planned_rate", "Requests per second that the plan has now.", registry=registry)
        self._info = Gauge("loadtest_info", "The scenario that runs.", ["scenario", "model"], registry=registry)
        self._children: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        for route in MIX:
            method, _, handler = route.partition(" ")
            for status in ("201" if method == "POST" else "200", *ERRORS_FROM_START, NO_ANSWER):
                self._child(method, handler, status)
        for reason in REASONS:
            self.missed.labels(reason)

    def show_rate(self, run: Callable[[], Run | None]) -> None:
        """Export the planned rate of the current run."""
        self._rate.set_function(lambda: found.rate_at(perf_counter()) if (found := run()) else 0.0)

    def show_scenario(self, choice: Choice | None) -> None:
        """Export the name of the scenario that runs."""
        self._info.clear()
        self._info.labels(choice.name if choice else "none", choice.model if choice else "closed").set(1)

    def count_request(
        self,
        *,
        request_type: str,
        name: str,
        response_time: float,
        response: Any,
        exception: Exception | None,
        **_: Any,
    ) -> None:
        """Count a request; Locust calls it for each."""
        total, duration = self._child(request_type, name, status_of(response, exception))
        total.inc()
        duration.observe(response_time / 1000)

    def _child(self, *labels: str) -> tuple[Counter, Histogram]:
        method, handler, status = labels
        key = (method, handler, status)
        if key not in self._children:
            self._children[key] = (self._total.labels(*key), self._duration.labels(*key))
        return self._children[key]


def status_of(answer: Any, exception: Exception | None) -> str:
    """Return the status as text, "000" when there was no whole answer."""
    return NO_ANSWER if not answer.status_code or (exception and answer.status_code < 400) else str(answer.status_code)


def serve(registry: CollectorRegistry, host: str, port: int, processes: int = 1) -> int:
    """Serve /metrics on the first free of so many ports and return it; raises OSError, with the options, if none is."""
    last = min(port + processes - 1, 65535)
    for candidate in range(port, last + 1):
        server = WSGIServer((host, candidate), make_wsgi_app(registry), log=None)
        try:
            server.start()
        except OSError as problem:
            if candidate == last:
                raise OSError(
                    f"no place for metrics: {problem}; --metrics-port, --metrics-host choose another"
                ) from None
        else:
            return candidate
    raise AssertionError
