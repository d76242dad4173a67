"""Poll Prometheus: rules and budgets once for all pages, and the curves of each view that a page has open."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from chaosapi.clients.prometheus import AsyncPrometheusClient
from chaosapi.console import signals, slos
from chaosapi.console.signals import ALL, Points, Span, View
from chaosapi.console.slos import BudgetStatus, PairStatus, SloTarget
from chaosapi.durations import parse
from chaosapi.overload import Signs, queries
from chaosapi.promql import Job, Requests

_FACTS_INTERVAL_S: Final = 30.0  # targets and rules change with deployments only
_BUSY_WINDOW: Final = "10m"
"""Routes without a scrape within it are not offered."""


@dataclass(frozen=True)
class ScrapedService:
    """Facts that seldom change: the routes, the busiest first, the SLO targets, and the scrape interval in seconds."""

    routes: tuple[str, ...] = ()
    targets: tuple[SloTarget, ...] = ()
    scrape: float = 15.0


@dataclass(frozen=True)
class ViewCurves:
    """The data of one view: its curves, when each fault acted, and the series of pending and firing alerts."""

    at: float
    lines: Mapping[str, Points]
    faults: Mapping[str, list[Span]]
    alerts: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True)
class PrometheusState:
    """One snapshot of Prometheus; `up` is whether it can scrape at least one replica of the service.

    `now` has the present values of the curves by route, whatever the span of a view.
    """

    facts: ScrapedService
    budgets: tuple[BudgetStatus, ...]
    others: tuple[PairStatus, ...]
    up: bool
    curves: Mapping[View, ViewCurves]
    now: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    signs: Signs = field(default_factory=Signs)
    """Of a machine that is too busy."""


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
        self._reached = {"up": Job(job).now("max", "up")}
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
        routes = {ALL, *(view.route for view in views)} if views else set()
        alerting, result, present, fresh = await asyncio.gather(
            self._client.groups("alert"),
            self._client.query(f"{slos.BUDGETS} or {signals.union(self._reached | self._signs())}"),
            asyncio.gather(*(self._fetch_values(route) for route in routes)),
            asyncio.gather(*(self._fetch_curves(view, now) for view in due)),
        )
        self._curves = {view: self._curves[view] for view in views if view in self._curves} | dict(
            zip(due, fresh, strict=True)
        )
        numbers = [series for series in result if "sloth_id" in series["metric"]]
        others = signals.values(series for series in result if "sloth_id" not in series["metric"])
        return PrometheusState(
            self._facts,
            slos.budget_statuses(alerting, numbers),
            slos.other_alerts(alerting),
            up=others.pop("up", 0) == 1,
            curves=dict(self._curves),
            now=dict(zip(routes, present, strict=True)),
            signs=Signs.from_results(others),
        )

    def _signs(self) -> dict[str, str]:
        return queries(self._job, self._facts.scrape)

    async def _fetch_values(self, route: str) -> Mapping[str, float]:
        return signals.values(await self._client.query(signals.query(self._job, self._facts.scrape, route)))

    async def _fetch_curves(self, view: View, now: float) -> ViewCurves:
        expr = signals.query(self._job, self._facts.scrape, view.route, view.step)
        start = now - view.span
        found, alerts = await asyncio.gather(
            self._client.query_range(expr, start, now, view.step),
            self._client.query_range(signals.alerts_query(self._facts.scrape, view.step), start, now, view.step),
        )
        curves = signals.curves(found, view.step)
        return ViewCurves(now, curves, signals.acting_spans(found, view.step), tuple(alerts))

    async def _fetch_facts(self) -> ScrapedService:
        served = Requests(Job(self._job, _BUSY_WINDOW)).rate("handler")
        groups, targets, rates = await asyncio.gather(
            self._client.groups("record"), self._client.targets(), self._client.query(f"sort_desc({served})")
        )
        intervals = [parse(each["scrapeInterval"]) for each in targets if each["labels"]["job"] == self._job]
        routes = [series["metric"].get("handler", "") for series in rates]
        named = tuple(route for route in routes if route.startswith("/"))
        return ScrapedService(named, slos.slo_targets(groups), max(intervals, default=15.0))
