"""Poll Prometheus: rules and budgets once for all pages, and the curves of each view that a page has open."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from chaosapi.clients.prometheus import AsyncPrometheusClient
from chaosapi.console import signals, slos
from chaosapi.console.signals import Points, Span, View
from chaosapi.console.slos import BudgetStatus, PairStatus, SloTarget
from chaosapi.durations import parse
from chaosapi.promql import Job

_FACTS_INTERVAL_S: Final = 30.0  # targets and rules change with deployments only


@dataclass(frozen=True)
class ScrapedService:
    """Facts that seldom change: the routes, the SLO targets, and the scrape interval in seconds."""

    routes: tuple[str, ...] = ()
    targets: tuple[SloTarget, ...] = ()
    scrape: float = 15.0


@dataclass(frozen=True)
class ViewCurves:
    """The data of one view: its curves, when faults acted, and the series of pending and firing alerts."""

    at: float
    lines: Mapping[str, Points]
    faults: tuple[Span, ...]
    alerts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class PrometheusState:
    """One snapshot of Prometheus; `up` is whether it can scrape at least one replica of the service."""

    facts: ScrapedService
    budgets: tuple[BudgetStatus, ...]
    others: tuple[PairStatus, ...]
    up: bool
    curves: Mapping[View, ViewCurves]


class PrometheusWatcher:
    """Polls Prometheus; raises ClientError.

    `viewed` returns the views that pages have open. Each view is queried once for all its pages, and a view of hours
    less often than a view of minutes.
    """

    def __init__(
        self,
        client: AsyncPrometheusClient,
        job: str,
        viewed: Callable[[], Iterable[View]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._client = client
        self._job = job
        self._viewed = viewed
        self._clock = clock
        self._reached = signals.union({"up": Job(job).now("max", "up")})
        self._facts = ScrapedService()
        self._facts_at = -_FACTS_INTERVAL_S
        self._curves: dict[View, ViewCurves] = {}

    async def poll(self) -> PrometheusState:
        now = self._clock()
        if now - self._facts_at >= _FACTS_INTERVAL_S:
            self._facts = await self._fetch_facts()
            self._facts_at = now
        views = set(self._viewed())
        due = [view for view in views if view not in self._curves or now - self._curves[view].at >= view.step / 4]
        alerting, result, *fresh = await asyncio.gather(
            self._client.groups("alert"),
            self._client.query(f"{slos.BUDGETS} or {self._reached}"),
            *(self._fetch_curves(view, now) for view in due),
        )
        self._curves = {view: self._curves[view] for view in views if view in self._curves} | dict(
            zip(due, fresh, strict=True)
        )
        reached = [series["value"][1] for series in result if series["metric"]["signal"] == "up"]
        numbers = [series for series in result if series["metric"]["signal"] != "up"]
        return PrometheusState(
            self._facts,
            slos.budget_statuses(alerting, numbers),
            slos.other_alerts(alerting),
            up=reached == ["1"],
            curves=dict(self._curves),
        )

    async def _fetch_curves(self, view: View, now: float) -> ViewCurves:
        expr = signals.query(self._job, self._facts.scrape, view.route, view.step)
        start = now - view.span
        found, alerts = await asyncio.gather(
            self._client.query_range(expr, start, now, view.step),
            self._client.query_range("ALERTS", start, now, view.step),
        )
        return ViewCurves(now, signals.curves(found), signals.acting_spans(found, view.step), tuple(alerts))

    async def _fetch_facts(self) -> ScrapedService:
        groups, targets, routes = await asyncio.gather(
            self._client.groups("record"),
            self._client.targets(),
            self._client.label_values("handler", f'http_requests_total{{job="{self._job}"}}'),
        )
        intervals = [parse(each["scrapeInterval"]) for each in targets if each["labels"]["job"] == self._job]
        named = tuple(route for route in routes if route.startswith("/"))
        return ScrapedService(named, slos.slo_targets(groups), max(intervals, default=15.0))
