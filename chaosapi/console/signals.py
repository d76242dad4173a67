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

_DIGITS: Final = 4
"""All that a small chart shows."""
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
    of_requests: bool = True
    """Whether it has no value without traffic."""


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
    Chart(
        "In progress",
        "count",
        (Line("progress", "in progress"),),
        "Requests that wait for their answer.",
        of_requests=False,
    ),
    Chart(
        "Loop lag",
        "seconds",
        (Line("lag", "loop lag"),),
        "How late the event loop is; every request waits for it. Of the whole service, whatever the route.",
        of_requests=False,
    ),
)
"""Traffic, errors, latency and saturation; the last two are saturation."""


def query(job: str, scrape: float, route: str, step: float = 0) -> str:
    """Return one expression for all curves, which the label `signal` distinguishes; without a step, for present values.

    The range of rates is four scrape intervals (`scrape`, seconds), as in Grafana, but at least a step and at least
    ten seconds, so that a handful of requests does not make them jump.
    """
    exprs = expressions(job, scrape, route, step)
    return union(exprs | {FAULT: f"max by (fault) ({_over(step, scrape, _strength(job))}) > 0"} if step else exprs)


def expressions(job: str, scrape: float, route: str, step: float = 0) -> dict[str, str]:
    """Return the expression of each curve by its key."""
    window = f"{math.ceil(max(4 * scrape, step, 10))}s"
    service = Job(job, window)
    served = Requests(service) if route == ALL else Requests(service, handler=_exactly(route))
    handler = "" if route == ALL else f', handler=~"{_exactly(route)}"'
    return {
        "rate": served.rate(),
        "success": served.share(ANSWERED),
        "failed": served.share(FAILED),
        "mean": served.mean(),
        "p95": served.quantile(0.95),
        "p99": served.quantile(0.99),
        # A plain selector would repeat a gauge's last value for five minutes after its last scrape.
        "progress": f'sum(last_over_time(http_requests_inprogress{{job="{job}"{handler}}}[{window}]))',
        "lag": f'max(last_over_time(chaosapi_event_loop_lag_seconds{{job="{job}"}}[{window}]))',
    }


def alerts_query(scrape: float, step: float) -> str:
    """Return the query for the alerts that were pending or firing within each step."""
    return _over(step, scrape, "ALERTS")


def union(exprs: Mapping[str, str]) -> str:
    """Join queries with `or`: each series gets the label `signal`, the name of its query."""
    return " or ".join(f'label_replace({expr}, "signal", "{name}", "", "")' for name, expr in exprs.items())


def curves(result: Iterable[Mapping[str, Any]], step: float) -> dict[str, Points]:
    """Return the curves of a range query's result by their key."""
    return {
        series["metric"]["signal"]: with_gaps(points(series["values"]), step)
        for series in result
        if series["metric"]["signal"] != FAULT
    }


def points(samples: Iterable[tuple[float, str]], digits: int = _DIGITS) -> Points:
    """Return the points of Prometheus' samples, rounded; NaN and infinity are no values."""
    return [(round(float(at) * 1000), _value(text, digits)) for at, text in samples]


def with_gaps(curve: Points, step: float) -> Points:
    """Return a curve with an empty point where samples are missing: a chart would join them by a straight line.

    A point between two gaps becomes a short dash: a line of one point is invisible.
    """
    runs: list[Points] = []
    for at, value in curve:
        if value is None:
            continue
        if not runs or at - runs[-1][-1][0] > 1500 * step:
            runs.append([])
        runs[-1].append((at, value))
    found: Points = []
    for run in runs:
        at, value = run[-1]
        dash = [(at + round(250 * step), value)] if len(run) == 1 else []
        gap: Points = [(run[0][0] - 1, None)] if found else []
        found += [*gap, *run, *dash]
    return found


def values(result: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """Return the numbers of an instant query's result by their key; a quantile of nothing is none."""
    numbers = {series["metric"]["signal"]: float(series["value"][1]) for series in result}
    return {key: value for key, value in numbers.items() if math.isfinite(value)}


def acting_spans(result: Iterable[Mapping[str, Any]], step: float) -> dict[str, list[Span]]:
    """Return when each fault acted, from the same result: Prometheus also has faults that the service has deleted."""
    return {
        series["metric"]["fault"]: spans((float(at) for at, _ in series["values"]), step)
        for series in result
        if series["metric"]["signal"] == FAULT
    }


def spans(times: Iterable[float], step: float) -> list[Span]:
    """Merge consecutive samples into spans; each sample stands for the `step` seconds before it."""
    found: list[Span] = []
    for time in times:
        if found and time - found[-1][1] < 1.5 * step:
            found[-1] = (found[-1][0], time)
        else:
            found.append((time - step, time))
    return found


def headline(chart: Chart, now: Mapping[str, float] | None) -> str:
    """Return the present value of a chart's first curve, or why there is none; `now` is None if nothing is known."""
    key = chart.lines[0].key
    if now is not None and key in now:
        return format_value(now[key], chart.unit)
    return "no traffic" if chart.of_requests and now and now.get("rate") == 0 else "no data"


def format_value(value: float, unit: str) -> str:
    """Format a number with its unit: `99.93 %`, `82.4 %`, `12 ms`, `18.4/s`."""
    if unit == "ratio":
        if 0.99 < value < 1:
            return f"{math.floor(value * 10_000) / 100:.2f} %"  # what is not all is never shown as 100 %
        return f"{max(value, 0.0001) * 100:.2f} %" if 0 < value < 0.01 else f"{value * 100:.3g} %"
    if unit == "seconds":
        return f"{value * 1000:.3g} ms" if value < 1 else f"{value:.2f} s"
    return f"{value:.1f}/s" if unit == "rate" else f"{value:.0f}"


def _value(text: str, digits: int) -> float | None:
    value = float(text)
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def _strength(job: str) -> str:
    return f'chaosapi_fault_strength{{job="{job}"}}'


def _over(step: float, scrape: float, series: str) -> str:
    """Return the largest value within each step, so that what lasts less than a step is seen."""
    return f"max_over_time({series}[{step:g}s])" if step >= 2 * scrape else series


def _exactly(route: str) -> str:
    """Escape a route's template as a regular expression inside a PromQL string."""
    return "".join(f"\\\\{each}" if each in r"\.+*?()|[]{}^$" else each for each in route)
