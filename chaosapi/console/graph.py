"""A query as a graph: the series of its result, and queries to begin with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from chaosapi.clients.errors import RefusedError
from chaosapi.clients.prometheus import AsyncPrometheusClient
from chaosapi.console import signals
from chaosapi.console.signals import Points
from chaosapi.promql import FAILED, Job, Requests, Slo, firing

MAX_SERIES: Final = 50
_POINTS: Final = 240
_DIGITS: Final = 12


@dataclass(frozen=True)
class Series:
    """One curve: its labels as PromQL writes them, its points, and its value at the end, None if it ended before."""

    name: str
    points: Points
    now: float | None


async def fetch(client: AsyncPrometheusClient, expr: str, end: float, span: float, step: float) -> list[Series]:
    """Return the series of an expression over the `span` seconds before `end`; raises ClientError.

    An expression with more series than `MAX_SERIES` is refused before its curves are fetched.
    """
    present = await client.query(expr, end)
    if len(present) > MAX_SERIES and isinstance(present[0], dict):
        raise RefusedError(
            f"the result has {len(present)} series, and a graph shows at most {MAX_SERIES}: "
            "aggregate them, as in sum by (handler) (…), or select fewer by their labels"
        )
    found = await client.query_range(expr, end - span, end, step)
    return [_series(each, end, step) for each in found[:MAX_SERIES]]


def step(span: float) -> int:
    """Return the seconds between two points of a graph."""
    return max(1, round(span / _POINTS))


def describe(labels: Mapping[str, str]) -> str:
    """Return labels as PromQL writes them: `up{job="chaosapi"}`."""
    inner = ", ".join(f'{name}="{value}"' for name, value in labels.items() if name != "__name__")
    braces = f"{{{inner}}}" if inner or "__name__" not in labels else ""
    return labels.get("__name__", "") + braces


def examples(job: str, window: str) -> dict[str, str]:
    """Return queries to begin with, by what they show; `window` is that of the rates."""
    requests = Requests(Job(job, window))
    return {
        "requests/s by route": requests.rate("handler"),
        "share of 5xx by route": requests.share(FAILED, "handler"),
        "p99 latency by route": requests.quantile(0.99, "handler"),
        "burn rate of each SLO over each window": Slo(".+").burn(),
        "error budget left": Slo(".+").budget_left(),
        "alerts that fire": firing("alertname", "slo", "severity", "long_window"),
        "strength of each fault": Job(job).now("max", "chaosapi_fault_strength", "fault"),
    }


def complete(text: str, names: Sequence[str], most: int = 200) -> list[str]:
    """Return the texts with the last word completed to a metric's name."""
    start = len(text)
    while start and (text[start - 1].isalnum() or text[start - 1] in "_:"):
        start -= 1
    word = text[start:]
    return [text[:start] + name for name in names if word and name.startswith(word)][:most]


def _series(found: Mapping[str, Any], end: float, step: float) -> Series:
    points = signals.points(found["values"], _DIGITS)
    is_present = points and points[-1][0] > 1000 * (end - step)
    return Series(describe(found["metric"]), signals.with_gaps(points, step), points[-1][1] if is_present else None)
