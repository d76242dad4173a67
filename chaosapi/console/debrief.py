"""What a debrief is made of: what was injected, which alerts were forecast and fired, and what users lost."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from chaosapi.clients.admin import AsyncAdminClient
from chaosapi.clients.errors import ClientError
from chaosapi.clients.prometheus import AsyncPrometheusClient
from chaosapi.console import signals
from chaosapi.console.slos import SloTarget
from chaosapi.console.states import unix_time
from chaosapi.console.timeline import TimelineEntry
from chaosapi.promql import ANSWERED, UNSUCCESSFUL, Slo

Json = Mapping[str, Any]

MAX_FAULTS: Final = 20
"""How many faults, the newest, have a report: each needs a score of the service."""
_TAIL_S: Final = 5.0
"""Seconds after the end of a fault until the requests that it hit are answered and scraped."""


@dataclass(frozen=True)
class Loss:
    """What users lost while a fault acted: requests, and the error budget of each SLO before and after."""

    requests: float
    failed: float
    slow: Mapping[str, float] = field(default_factory=dict)
    """Requests above the bound of a latency SLO, by the bound in milliseconds."""
    budgets: Mapping[str, tuple[float, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class FaultReport:
    """One fault with its score and its loss; None where the service or Prometheus does not know."""

    fault: Json
    score: Json | None
    loss: Loss | None


@dataclass(frozen=True)
class Debrief:
    """All that is known at one moment; `reports` has the newest fault first, `entries` the newest event."""

    made: float
    entries: Sequence[TimelineEntry]
    faults: Sequence[Json]
    reports: Sequence[FaultReport]


async def report(
    faults: Iterable[Json],
    admin: AsyncAdminClient,
    metrics: AsyncPrometheusClient,
    job: str,
    targets: Sequence[SloTarget],
    now: float,
) -> list[FaultReport]:
    """Report the newest faults that have begun. One after the other: a score is work for the service."""
    begun = [fault for fault in faults if unix_time(fault["starts_at"]) < min(now, unix_time(fault["ends_at"]))]
    return [
        FaultReport(fault, await _score(admin, fault["name"]), await _loss(metrics, job, targets, fault, now))
        for fault in begun[:MAX_FAULTS]
    ]


def loss_queries(job: str, targets: Iterable[SloTarget], span_s: float) -> dict[str, str]:
    """Return the queries for the requests of the last `span_s` seconds: all, failed, and slow by each bound."""
    window = f"{max(1, round(span_s))}s"
    duration = "http_request_duration_seconds"
    served = f'sum(increase(http_requests_total{{job="{job}"}}[{window}]))'
    failed = f'sum(increase(http_requests_total{{job="{job}", {UNSUCCESSFUL}}}[{window}]))'
    answered = f'job="{job}", {ANSWERED}'
    slow = {
        f"slow {target.within * 1000:g}": (
            f"sum(increase({duration}_count{{{answered}}}[{window}]))"
            # Prometheus 3 writes a bound of 1 as 1.0.
            f' - sum(increase({duration}_bucket{{{answered}, le=~"{target.within:g}([.]0)?"}}[{window}]))'
        )
        for target in targets
        if target.within is not None
    }
    return {"requests": served, "failed": f"{failed} or 0 * {served}", **slow}


async def _score(admin: AsyncAdminClient, name: str) -> Json | None:
    try:
        return await admin.score(name)
    except ClientError:
        return None


async def _loss(
    metrics: AsyncPrometheusClient, job: str, targets: Iterable[SloTarget], fault: Json, now: float
) -> Loss | None:
    start = unix_time(fault["starts_at"])
    end = min(now, unix_time(fault["ends_at"]) + _TAIL_S)
    budgets = signals.union({"left": Slo(".+").budget_left()})
    try:
        counted, before, after = await asyncio.gather(
            metrics.query(signals.union(loss_queries(job, targets, end - start)), end),
            metrics.query(budgets, start),
            metrics.query(budgets, end),
        )
    except ClientError:
        return None
    numbers = signals.values(counted)
    if "requests" not in numbers:
        return None
    left, later = ({each["metric"]["sloth_id"]: float(each["value"][1]) for each in found} for found in (before, after))
    slow = {key.removeprefix("slow "): max(0.0, value) for key, value in numbers.items() if key.startswith("slow ")}
    return Loss(
        numbers["requests"],
        numbers.get("failed", 0.0),
        slow,
        {name: (left[name], later[name]) for name in left if name in later},
    )
