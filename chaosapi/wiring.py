"""The composition root: creates the parts of a replica and wraps the middlewares around an app."""

import asyncio
import socket
import time
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from prometheus_client import CollectorRegistry
from prometheus_client.registry import Collector
from starlette.types import ASGIApp

from chaosapi import assets
from chaosapi.api import faults, forecasts, health, problems, replicas, stop, tokens, truth, webhooks, world
from chaosapi.api.audit import AuditedChanges, AuditEndpoints
from chaosapi.api.auth import AccessGuard
from chaosapi.api.descriptions import UNTRACED, refusals
from chaosapi.api.dispatch import Dispatch, refuse_shared_paths
from chaosapi.api.head import HeadMiddleware
from chaosapi.api.newline import NewlineMiddleware
from chaosapi.api.policy import Policy
from chaosapi.calls import NOBODY, Observers
from chaosapi.edge.edge import Edge, RequestReader
from chaosapi.errors import Forbidden, Invalid, NotInstalled
from chaosapi.extras import needed
from chaosapi.faults.fault import Record
from chaosapi.faults.state import Diff, State
from chaosapi.injection.context import Details, HeldRequests, no_details
from chaosapi.injection.engine import Engine
from chaosapi.injection.middleware import FaultMiddleware
from chaosapi.routing import RouteTable
from chaosapi.runtime.fleet import Fleet
from chaosapi.runtime.guard_watcher import GuardWatcher
from chaosapi.runtime.heartbeat import Heartbeat
from chaosapi.runtime.kill_switch import KillSwitch
from chaosapi.runtime.lifespan import Hooks, Job, LifespanMiddleware
from chaosapi.runtime.pool import Pools
from chaosapi.runtime.process_effects import ProcessEffectRunner
from chaosapi.settings import Settings, SettingsError
from chaosapi.store import Replica, Store, store_from_url
from chaosapi.store.alerts import Inbox
from chaosapi.telemetry.access_log import AccessLog
from chaosapi.telemetry.app_metrics import AppMetrics
from chaosapi.telemetry.call_log import CallLog
from chaosapi.telemetry.calls import CallMetrics
from chaosapi.telemetry.faults import FaultMetrics, LagGauge
from chaosapi.telemetry.gauges import CallbackGauge
from chaosapi.telemetry.middleware import TelemetryMiddleware
from chaosapi.telemetry.process import process_registry
from chaosapi.telemetry.queues import QueueMetrics
from chaosapi.telemetry.requests import RequestMetrics
from chaosapi.telemetry.selection import ChosenFamilies
from chaosapi.telemetry.trace_provider import TracedService, create_tracing
from chaosapi.telemetry.traffic import FaultFreeMeter, RateMeter
from chaosapi.world.world import RequestClass, World

if TYPE_CHECKING:
    from chaosapi.runtime.admin_server import AdminServer
    from chaosapi.runtime.workers.context import WorkerContext
    from chaosapi.store.alerts_sqlite import SharedInbox
    from chaosapi.telemetry.counters import MmapCounters
    from chaosapi.telemetry.multiprocess import MultiprocessCollector

_DESCRIPTION = """The admin API creates, changes and ends faults.

Start with `POST /admin/faults` and `{"effect": {"type": "error"}, "rate": 0.2}`; `DELETE /admin/faults` ends all.
"""

_LAG_INTERVAL_S = 0.1
_ROUTES_INTERVAL_S = 1.0

# Makes the API docs ask for the token; AccessGuard checks it.
_TOKEN = HTTPBearer(auto_error=False, description="CHAOSAPI_ADMIN_TOKEN")


class Chaos:
    """One replica: its faults, the middleware that injects them, the control plane and the metrics."""

    def __init__(  # noqa: PLR0913 - each is optional and has one meaning
        self,
        settings: Settings,
        routes: RouteTable,
        clock: Callable[[], float] = time.time,
        points: Iterable[str] = (),
        worker: "WorkerContext | None" = None,
        steady: Callable[[], float] = time.monotonic,
        app_registry: Collector | None = None,
        *,
        classes: Mapping[str, RequestClass] | None = None,
        details: Details = no_details,
    ) -> None:
        """`app_registry` has the app's metrics; unless given, prometheus-client's default registry has.

        `classes` has the classes of the shop's routes; None for an app that is not the shop. `details` returns what the
        app says on a route when it answers with a status, so that an injected error says the same.
        """
        self._shop = classes is not None
        self._details = details
        self._settings = settings
        self._routes = routes
        self._worker = worker
        self._app_registry = app_registry
        self._store = create_store(settings, clock)
        self._held_requests = HeldRequests(settings.max_held)
        self.registry = process_registry(lambda: self._store.up)
        """The registry of what /metrics shows of chaosapi; the shop registers its own metrics."""
        self._lag_gauge = LagGauge(self.registry, time.monotonic)
        points = frozenset(points)
        self._policy = Policy(routes, settings, points, world.absent_parts(shop=self._shop))
        self._replica = Replica.started_now(settings.replica, socket.gethostname(), clock())
        base = World.of(settings)
        self._engine = engine = Engine(routes, self._store.now, steady, self._policy.denials, base, self._replica.name)
        self._fault_metrics = fault_metrics = FaultMetrics(engine, lambda: len(self._held_requests))
        self._collector: MultiprocessCollector | None = None
        self._inbox = Inbox()
        named = sorted(points)
        if worker:
            self._collector, counters, self._inbox = _join_workers(worker, self.registry, fault_metrics)
            self._metrics = RequestMetrics(routes.routes, counters, self._collector.counted)
            call_metrics = CallMetrics(named, counters)
            self._queues = QueueMetrics(routes.templates, named, counters)
        else:
            self._metrics = RequestMetrics(routes.routes)
            call_metrics = CallMetrics(named)
            self._queues = QueueMetrics(routes.templates, named)
            for collector in (self._metrics, call_metrics, self._queues):
                self.registry.register(collector)
        call_log = CallLog("shop" if self._shop else "chaosapi.dependencies", named)
        self._edge = Edge(
            lambda: engine.state.world,
            RequestReader(routes.handler, lambda route: self._queues.meter(route, ""), classes),
            steady,
        )
        self.registry.register(self._edge.metrics)
        self._tracing = create_tracing(
            TracedService("shop" if self._shop else "", self._replica.name), self._release, settings.trace_dir
        )
        self._observers = Observers(
            tries=[call_metrics.count_try],
            waits=[self._queues.count_wait, call_log.write_wait],
            breakers=[call_log.write_breaker],
            failures=[call_log.write_try],
        ).and_those(self._tracing.observers if self._tracing else NOBODY)
        routes.subscribe(self._follow_routes)
        self._process_effects = ProcessEffectRunner()
        about = "Whether operators have taken this replica out of rotation: it is not ready."
        drained = CallbackGauge(
            "chaosapi_replica_drained", about, lambda: self._process_effects.probes.drained, "livemax"
        )
        self.registry.register(drained)
        self._heartbeat = Heartbeat(
            self._store,
            self._replica,
            lambda: engine.state.revision,
            lambda: ((fault.compiled.record, fault.counts) for fault in engine.active_faults()),
        )
        self._fleet = Fleet(self._store, engine, self._replica)
        self._guard_watcher = GuardWatcher(
            self._store, self._engine, self._inbox, self._metrics.count_answers, self._drop_ended_faults
        )
        self._kill_switch = KillSwitch(self._store, engine, self._load_state, worker.kill_flags if worker else None)
        self._store.subscribe(self._kill_switch.apply_stored)
        self._rate_meter = RateMeter(self._metrics.count_by_route)
        self._latency_meter = FaultFreeMeter(
            self._metrics.count_latencies, lambda seconds: engine.state.acted(engine.clock() - seconds, engine.clock())
        )
        self._pools = Pools()
        self._forecaster = self._create_forecaster()

    @property
    def world(self) -> World:
        """Return the world as this replica knows it."""
        return self._engine.state.world

    def _release(self) -> str:
        """Return the release that this replica runs; a guest has one only where its settings say so."""
        known = self._shop or "release" in self._settings.model_fields_set
        return self.world.release.of(self._replica.name) if known else ""

    @property
    def replica(self) -> str:
        """Return the name that this replica keeps after a restart."""
        return self._replica.name

    def _create_forecaster(self) -> forecasts.Forecaster:
        settings = self._settings
        source = settings.slo or assets.path("alerts") / "slo.yaml"
        forecaster = forecasts.Forecaster(
            source,
            settings.profile,
            forecasts.Meters(self._rate_meter, self._latency_meter),
            self._routes,
            self._engine,
            self._fleet.names,
            self._pools.forecasts.check,
        )
        if settings.slo or settings.profile != Settings.model_fields["profile"].default:
            try:
                forecaster.load()  # report broken files at startup
            except (Invalid, NotInstalled) as error:
                raise SettingsError(f"CHAOSAPI_SLO={source}, CHAOSAPI_PROFILE={settings.profile}: {error}") from None
        return forecaster

    @cached_property
    def control(self) -> FastAPI:
        """Return the control plane: admin API, webhook, probes and metrics."""
        app = _create_control_app(
            title="chaosapi",
            version=version("chaosapi"),
            description=_DESCRIPTION,
            telemetry=UNTRACED,
            docs_url="/admin/docs",
            redoc_url=None,
            openapi_url="/admin/openapi.json",
            swagger_ui_oauth2_redirect_url="/admin/docs/oauth2-redirect",
        )
        problems.install(app)
        audited = AuditedChanges(self._store, self._kill_switch, trusted=self._settings.admin_token is not None)
        token = [Depends(_TOKEN)] if self._settings.admin_token else []
        routers = (
            faults.FaultEndpoints(
                audited, self._fleet, self._engine, self._policy, self._forecaster, self._pools, self._rate_meter
            ).router(),
            forecasts.ForecastEndpoints(
                audited.catch_up, self._forecaster, self._policy, self._engine, self._inbox, self._pools, self._fleet
            ).router(),
            stop.StopEndpoints(audited, self._kill_switch, self._fleet, self._store.now).router(),
            AuditEndpoints(audited, self._pools.lists).router(),
            replicas.ReplicaEndpoints(self._fleet).router(),
            world.WorldEndpoints(
                audited, self._fleet, self._engine, world.absent_parts(shop=self._shop), self._pools.lists
            ).router(),
            tokens.TokenEndpoints(audited, self._fleet, self._engine).router(),
            truth.TruthEndpoints(self._truth_metrics()).router(),
            webhooks.WebhookEndpoints(self._inbox, self._guard_watcher.evaluate, self._store.now, self._pools).router(),
        )
        for router in routers:
            app.include_router(router, dependencies=token, responses=refusals(Forbidden))
        metrics = AppMetrics(self._public_metrics(), self._app_registry, several=self._worker is not None)
        app.include_router(health.HealthEndpoints(metrics, self._process_effects.probes).router())
        return app

    def _truth_metrics(self) -> Collector:
        """Return the metrics of faults, of all workers if there are several."""
        if self._collector is None:
            return self._fault_metrics
        return ChosenFamilies(self._collector, self._fault_metrics.names.__contains__)

    def _public_metrics(self) -> Collector:
        """Return all other metrics of chaosapi."""
        if self._collector is None:
            return self.registry
        names = self._fault_metrics.names
        return ChosenFamilies(self._collector, lambda name: name not in names)

    def around(self, app: ASGIApp) -> LifespanMiddleware:
        """Wrap the app that serves users."""
        control = NewlineMiddleware(self._guarded(HeadMiddleware(self.control)))
        for layer in reversed(self._layers(control, app)):
            app = layer(app)
        return LifespanMiddleware(app, *self._lifespan(control))

    def _guarded(self, control: ASGIApp) -> AccessGuard:
        return AccessGuard(control, self._settings, lambda: self._engine.state.tokens, self._engine.clock)

    def _layers(self, control: ASGIApp, app: ASGIApp) -> list[Callable[[ASGIApp], ASGIApp]]:
        """Return the middlewares that a request passes through, outermost first."""
        settings = self._settings
        return [
            partial(
                TelemetryMiddleware,
                metrics=self._metrics,
                replica=self._replica.id,
                engine=self._engine,
                untouched=self._edge.around(app),
                access_log=AccessLog(self._replica.name, self._release) if settings.access_log else None,
                observers=self._observers,
                tracing=self._tracing,
            ),
            partial(self._edge.around, exempts=True),
            partial(
                FaultMiddleware,
                engine=self._engine,
                meter=self._queues.meter,
                held=self._held_requests,
                mark=settings.mark_responses,
                details=self._details,
            ),
            partial(
                Dispatch,
                control=control,
                probes=self._process_effects.probes,
                routes=self._routes,
                admin_port=settings.admin_port,
            ),
        ]

    def _lifespan(self, control: ASGIApp) -> tuple[list[Job], Hooks]:
        """Return the background jobs, and the hooks for startup and shutdown."""
        jobs: list[Job] = [self._measure_lag, self._watch_routes]
        control_jobs: list[Job] = [
            self._guard_watcher.run,
            self._rate_meter.run,
            self._latency_meter.run,
            self._heartbeat.run,
        ]
        if self._collector:
            jobs.append(self._collector.run)
        membership = self._worker.membership if self._worker else None
        if membership:
            jobs.append(membership.run)
        port = self._settings.admin_port
        if port is None:
            jobs += control_jobs
            open_ = self._open_store
            close = self._close_store
        else:
            # With a port of its own, the control plane runs in an event loop of its own, and so does the store.
            control_app = LifespanMiddleware(control, control_jobs, Hooks(self._open_store, self._close_store))
            server = self._admin_server(control_app, port)
            open_ = partial(asyncio.to_thread, server.start)
            close = partial(asyncio.to_thread, server.stop)

        async def start() -> None:
            refuse_shared_paths(self._routes, port)
            await open_()
            self._process_effects.start(asyncio.get_running_loop(), self._engine.live())

        async def stop() -> None:
            await asyncio.to_thread(self._process_effects.stop)
            await close()
            if self._tracing:
                await asyncio.to_thread(self._tracing.close)
            if self._collector:
                self._collector.close()
            if membership:
                membership.leave()

        def check_routes() -> None:
            self._routes.refresh()
            refuse_shared_paths(self._routes, port)

        return jobs, Hooks(start, stop, self._process_effects.probes.mark_stopping, self._engine.release, check_routes)

    def _admin_server(self, control: LifespanMiddleware, port: int) -> "AdminServer":
        with needed("CHAOSAPI_ADMIN_PORT", "serve", SettingsError):
            from chaosapi.runtime.admin_server import AdminServer
        settings = self._settings
        bound = self._worker.admin if self._worker else None
        return AdminServer(control, settings.admin_host or settings.host, port, bound)

    async def _open_store(self) -> None:
        try:
            await self._store.start()
        except OSError as error:
            raise OSError(f"CHAOSAPI_STORE: {error}") from error
        self._kill_switch.start()

    async def _close_store(self) -> None:
        self._pools.close()
        await self._kill_switch.close()
        await self._heartbeat.report_leaving()
        await self._store.close()

    def _follow_routes(self) -> None:
        """Act on the app's routes, which have changed."""
        self._metrics.expose(self._routes.routes)
        self._queues.expose(self._routes.templates)
        self._expose_statuses(fault.compiled.record for fault in self._engine.live())
        self._engine.match_routes()

    def _expose_statuses(self, records: Iterable[Record]) -> None:
        """Show the statuses of these faults at 0: the first scrape of a burst would otherwise be its first sample."""
        if self._settings.blind:
            return  # a series at 0 would announce the fault
        now = self._store.now()
        for record in records:
            if record.phase(now) != "ended":
                self._metrics.expose_statuses(record.spec, self._routes.routes)

    def _load_state(self, state: State) -> None:
        diff = Diff.of(self._engine.state, state)
        replaced = self._collector if diff.replaces else None
        if replaced:
            replaced.snapshot()  # write down the last counts of the replaced fault
        self._expose_statuses(diff.added)
        self._engine.load(state, diff)
        if replaced:
            replaced.snapshot()  # the counts of the new fault start at 0
        self._process_effects.sync(self._engine.live())
        self._process_effects.probes.drained = not self.world.in_rotation(self._replica.name)
        self._guard_watcher.snapshot_counters()
        self._heartbeat.report_soon()

    def _drop_ended_faults(self) -> None:
        self._engine.drop_ended()
        self._process_effects.sync(self._engine.live())

    async def _watch_routes(self) -> None:
        """Read routes that the app adds after its start, so that their series exist before their first request."""
        while True:
            await asyncio.sleep(_ROUTES_INTERVAL_S)
            self._routes.refresh_if_added()

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_INTERVAL_S
            await asyncio.sleep(_LAG_INTERVAL_S)
            self._lag_gauge.observe(loop.time() - due)


def _join_workers(
    worker: "WorkerContext", registry: CollectorRegistry, faults: FaultMetrics
) -> "tuple[MultiprocessCollector, MmapCounters, SharedInbox]":
    """Return the collector that adds up all workers, this worker's counters, and the inbox that workers share."""
    from chaosapi.store.alerts_sqlite import SharedInbox
    from chaosapi.telemetry.counters import MmapCounters
    from chaosapi.telemetry.multiprocess import MultiprocessCollector

    totals = MultiprocessCollector(registry, faults, worker.folder, worker.slot)
    return totals, MmapCounters(worker.folder, worker.slot), SharedInbox(worker.folder / "inbox.sqlite")


def create_store(settings: Settings, clock: Callable[[], float] = time.time) -> Store:
    """Return the store of the settings, not started yet; raises SettingsError."""
    try:
        return store_from_url(settings.store, clock)
    except ValueError as error:
        raise SettingsError(f"CHAOSAPI_STORE: {error}") from None


def _create_control_app(**options: Any) -> FastAPI:
    """Return a FastAPI app; with fastapi-offline (extra `serve`) its docs work without a network."""
    try:
        from fastapi_offline import FastAPIOffline
    except ModuleNotFoundError:
        return FastAPI(**options)
    return FastAPIOffline(**options, static_url="/admin/static")
