"""The charts at the left of the page, and the query that fetches all their curves at once."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chaosapi.promql import ANSWERED, FAILED, Job, Requests

SPANS: Final = {"5 m": 300, "15 m": 900, "1 h": 3600, "3 h": 10800, "6 h": 21600}
"""The time spans of a view, in seconds."""
POINTS: Final = 150
ALL: Final = "all routes"

FAULT: Final = "fault"
"""The signal that has a value while a fault acts, with a series for each fault."""

Span = tuple[float, float]
"""Start and end, Unix seconds."""
Points = list[tuple[int, float | None]]
"""A curve for ECharts: (Unix milliseconds, value)."""


@dataclass(frozen=True)
class View:
    """The choice of a page: seconds back from now, and one route or all."""

    span: int = 300
    route: str = ALL

    @property
    def step(self) -> int:
        """Seconds between two points; at least two, the update interval of a page."""
        return max(2, self.span // POINTS)


@dataclass(frozen=True)
class Line:
    """One curve: its value of the label `signal`, and its name in the legend."""

    key: str
    name: str


@dataclass(frozen=True)
class Chart:
    """One small chart: its curves, and their unit (`rate`, `ratio`, `seconds` or `count`)."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    about: str


CHARTS: Final = (
    Chart("Traffic", "rate", (Line("rate", "requests/s"),), "Requests that the service answers, per second."),
    Chart("Success", "ratio", (Line("success", "success"),), "Share of requests answered without a server error."),
    Chart("5xx", "ratio", (Line("failed", "5xx"),), "Share of requests answered with a 5xx status."),
    Chart(
        "Latency",
        "seconds",
        (Line("p99", "p99"), Line("p95", "p95"), Line("mean", "mean")),
        "Time to answer: of the slowest hundredth and twentieth, and the mean. Quantiles are read off buckets.",
    ),
    Chart("In progress", "count", (Line("progress", "in progress"),), "Requests that wait for their answer."),
    Chart(
        "Loop lag",
        "seconds",
        (Line("lag", "loop lag"),),
        "How late the event loop is; every request waits for it. Of the whole service, whatever the route.",
    ),
)
"""Traffic, errors, latency and saturation; the last two are saturation."""


def query(job: str, scrape: float, route: str, step: float) -> str:
    """Return one expression for all curves, which the label `signal` distinguishes.

    The range of rates is four scrape intervals (`scrape`, seconds), as in Grafana, but at least a step and at least
    ten seconds, so that a handful of requests does not make them jump.
    """
    service = Job(job, f"{math.ceil(max(4 * scrape, step, 10))}s")
    served = Requests(service) if route == ALL else Requests(service, handler=_exactly(route))
    return union(
        {
            "rate": served.rate(),
            "success": served.share(ANSWERED),
            "failed": served.share(FAILED),
            "mean": served.mean(),
            "p95": served.quantile(0.95),
            "p99": served.quantile(0.99),
            "progress": served.in_progress(),
            "lag": service.now("max", "chaosapi_event_loop_lag_seconds"),
            FAULT: service.now("max", "chaosapi_fault_strength", "fault") + " > 0",
        }
    )


def union(exprs: Mapping[str, str]) -> str:
    """Join queries with `or`: each series gets the label `signal`, the name of its query."""
    return " or ".join(f'label_replace({expr}, "signal", "{name}", "", "")' for name, expr in exprs.items())


def curves(result: Iterable[Mapping[str, Any]]) -> dict[str, Points]:
    """Return the curves of a range query's result by their key, rounded to four digits, which is all a chart shows."""
    return {
        series["metric"]["signal"]: [(round(float(at) * 1000), _value(text)) for at, text in series["values"]]
        for series in result
        if series["metric"]["signal"] != FAULT
    }


def acting_spans(result: Iterable[Mapping[str, Any]], step: float) -> tuple[Span, ...]:
    """Return when faults acted, from the same result: Prometheus also has faults that the service has deleted."""
    return tuple(
        span
        for series in result
        if series["metric"]["signal"] == FAULT
        for span in spans((float(at) for at, _ in series["values"]), step)
    )


def spans(times: Iterable[float], step: float) -> list[Span]:
    """Merge consecutive samples into spans; each sample stands for `step` seconds."""
    found: list[Span] = []
    for time in times:
        if found and time - found[-1][1] < step / 2:
            found[-1] = (found[-1][0], time + step)
        else:
            found.append((time, time + step))
    return found


def format_value(value: float | None, unit: str) -> str:
    """Format a number with its unit: `99.93 %`, `12 ms`, `18.4/s`."""
    if value is None:
        return "-"
    if unit == "ratio":
        return f"{value * 100:.2f} %" if 0 < value < 1 else f"{value * 100:.0f} %"
    if unit == "seconds":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.2f} s"
    return f"{value:.1f}/s" if unit == "rate" else f"{value:.0f}"


def _value(text: str) -> float | None:
    value = float(text)
    return float(f"{value:.4g}") if math.isfinite(value) else None


def _exactly(route: str) -> str:
    """Escape a route's template as a regular expression inside a PromQL string."""
    return "".join(f"\\\\{each}" if each in r"\.+*?()|[]{}^$" else each for each in route)
