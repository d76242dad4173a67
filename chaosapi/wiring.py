"""The composition root: makes all parts and wraps them around an app, in the order in which a request passes them."""

import asyncio
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from functools import cached_property, partial
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from prometheus_client import CollectorRegistry
from starlette.types import ASGIApp

from chaosapi import assets
from chaosapi.api import faults, forecasts, health, problems, replicas, stop, webhooks
from chaosapi.api.audit import AuditedChanges
from chaosapi.api.auth import AccessGuard
from chaosapi.api.descriptions import UNTRACED, refusals
from chaosapi.api.dispatch import Dispatch, refuse_shared_paths
from chaosapi.api.policy import Policy
from chaosapi.errors import Forbidden, Invalid, NotInstalled
from chaosapi.extras import needed
from chaosapi.faults.state import Diff, State
from chaosapi.injection.context import HeldRequests
from chaosapi.injection.engine import Engine
from chaosapi.injection.middleware import FaultMiddleware
from chaosapi.routes import RouteTable
from chaosapi.runtime.fleet import Fleet
from chaosapi.runtime.guard_watcher import GuardWatcher
from chaosapi.runtime.heartbeat import Heartbeat
from chaosapi.runtime.kill_switch import KillSwitch
from chaosapi.runtime.lifespan import Hooks, Job, LifespanMiddleware
from chaosapi.runtime.pool import Pools
from chaosapi.runtime.process_effects import ProcessEffectRunner
from chaosapi.settings import Settings, SettingsError
from chaosapi.store import Replica, Store, open_store
from chaosapi.store.alerts import Inbox
from chaosapi.telemetry.faults import FaultMetrics, LagGauge
from chaosapi.telemetry.middleware import TelemetryMiddleware
from chaosapi.telemetry.process import process_registry
from chaosapi.telemetry.requests import RequestMetrics
from chaosapi.telemetry.traffic import RateMeter

if TYPE_CHECKING:
    from chaosapi.runtime.admin_server import AdminServer
    from chaosapi.runtime.workers.place import Place
    from chaosapi.store.alerts_sqlite import SharedInbox
    from chaosapi.telemetry.counters import MmapCounters
    from chaosapi.telemetry.multiprocess import MultiprocessCollector

_ABOUT = """The admin API creates, changes and ends faults.

Start with `POST /admin/faults` and `{"effect": {"type": "error"}, "rate": 0.2}`; `DELETE /admin/faults` ends all.
"""

_LAG_INTERVAL_S = 0.1

# Makes the API docs ask for the token; AccessGuard checks it.
_TOKEN = HTTPBearer(auto_error=False, description="CHAOSAPI_ADMIN_TOKEN")


class Chaos:
    """One replica: its faults, the middleware that injects them, the control plane and the metrics."""

    def __init__(
        self,
        settings: Settings,
        routes: RouteTable,
        clock: Callable[[], float] = time.time,
        points: Iterable[str] = (),
        place: "Place | None" = None,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._routes = routes
        self._place = place
        self._store = _store(settings, clock)
        self._held = HeldRequests()
        self.registry = process_registry(lambda: self._store.up, lambda: len(self._held))
        """The registry of /metrics; the app may register its own collectors."""
        self._lag = LagGauge(self.registry, time.monotonic)
        self._limits = Policy(routes, settings, frozenset(points))
        self._engine = engine = Engine(routes, self._store.now, steady, self._limits.denials)
        faults = FaultMetrics(engine)
        self._totals: MultiprocessCollector | None = None
        self._inbox = Inbox()
        if place:
            self._totals, cells, self._inbox = _among_workers(place, self.registry, faults)
            self._metrics = RequestMetrics(routes.routes, cells, self._totals.counted)
        else:
            self._metrics = RequestMetrics(routes.routes)
            self.registry.register(self._metrics)
            self.registry.register(faults)
        self._supervisor = ProcessEffectRunner()
        host = socket.gethostname()
        self._me = Replica(id=f"{host}-{secrets.token_hex(4)}", host=host, pid=os.getpid(), started=clock())
        self._heart = Heartbeat(
            self._store,
            self._me,
            lambda: engine.state.revision,
            lambda: ((run.compiled.record, run.counts) for run in engine.active_faults()),
        )
        self._fleet = Fleet(self._store, engine, self._me)
        self._watch = GuardWatcher(self._store, self._engine, self._inbox, self._metrics.count_answers, self._settle)
        self._kill = KillSwitch(self._store, engine, self._apply, place.kill_flags if place else None)
        self._store.subscribe(self._kill.apply_stored)
        self._flow = RateMeter(self._metrics.count_by_route)
        self._pools = Pools()
        self._forecaster = _forecaster(settings, self._flow, self._pools.forecasts.check)

    @cached_property
    def control(self) -> FastAPI:
        """Return the control plane: admin API, webhook, probes and metrics."""
        app = _documented(
            title="chaosapi",
            version=version("chaosapi"),
            description=_ABOUT,
            telemetry=UNTRACED,
            docs_url="/admin/docs",
            redoc_url=None,
            openapi_url="/admin/openapi.json",
            swagger_ui_oauth2_redirect_url="/admin/docs/oauth2-redirect",
        )
        problems.install(app)
        audited = AuditedChanges(self._store, self._kill, trusted=self._settings.admin_token is not None)
        token = [Depends(_TOKEN)] if self._settings.admin_token else []
        for guarded in (
            faults.FaultEndpoints(
                audited, self._fleet, self._engine, self._limits, self._forecaster, self._pools
            ).router(),
            forecasts.ForecastEndpoints(
                self._forecaster, self._limits, self._engine, self._inbox, self._pools
            ).router(),
            stop.StopEndpoints(audited, self._kill, self._fleet, self._store.now, self._pools.lists).router(),
            replicas.ReplicaEndpoints(self._fleet).router(),
            webhooks.WebhookEndpoints(self._inbox, self._watch.evaluate, self._store.now, self._pools).router(),
        ):
            app.include_router(guarded, dependencies=token, responses=refusals(Forbidden))
        app.include_router(health.HealthEndpoints(self._totals or self.registry, self._supervisor.probes).router())
        return app

    def around(self, app: ASGIApp) -> LifespanMiddleware:
        """Wrap the app that serves users."""
        control = AccessGuard(self.control, self._settings)
        for layer in reversed(self._layers(control)):
            app = layer(app)
        return LifespanMiddleware(app, *self._life(control))

    def _layers(self, control: ASGIApp) -> list[Callable[[ASGIApp], ASGIApp]]:
        """Return the middlewares that a request passes through, outermost first."""
        settings = self._settings
        return [
            partial(
                TelemetryMiddleware,
                routes=self._routes,
                metrics=self._metrics,
                replica=self._me.id,
                access_log=settings.access_log,
            ),
            partial(
                FaultMiddleware,
                engine=self._engine,
                held=self._held,
                max_held=settings.max_held,
                mark=settings.mark_responses,
            ),
            partial(
                Dispatch,
                control=control,
                probes=self._supervisor.probes,
                routes=self._routes,
                admin_port=settings.admin_port,
            ),
        ]

    def _life(self, control: ASGIApp) -> tuple[list[Job], Hooks]:
        """Return the background jobs, and the hooks for startup and shutdown."""
        jobs: list[Job] = [self._measure_lag]
        control_jobs: list[Job] = [self._watch.run, self._flow.run, self._heart.run]
        if self._totals:
            jobs.append(self._totals.run)
        port = self._settings.admin_port
        if port is None:
            jobs += control_jobs
            open_ = self._open
            close = self._close
        else:
            # With its own port, the control plane has its own event loop, and the store runs there.
            behind = LifespanMiddleware(control, control_jobs, Hooks(self._open, self._close))
            listener = self._listener(behind, port)
            open_ = partial(asyncio.to_thread, listener.start)
            close = partial(asyncio.to_thread, listener.stop)

        async def start() -> None:
            refuse_shared_paths(self._routes, port)
            await open_()
            self._supervisor.start(asyncio.get_running_loop(), self._engine.live())

        async def stop() -> None:
            await asyncio.to_thread(self._supervisor.stop)
            await close()
            if self._totals:
                self._totals.close()

        return jobs, Hooks(start, stop, self._supervisor.probes.mark_stopping, self._engine.release)

    def _listener(self, control: LifespanMiddleware, port: int) -> "AdminServer":
        with needed("CHAOSAPI_ADMIN_PORT", "serve", SettingsError):
            from chaosapi.runtime.admin_server import AdminServer
        settings = self._settings
        bound = self._place.admin if self._place else None
        return AdminServer(control, settings.admin_host or settings.host, port, bound)

    async def _open(self) -> None:
        try:
            await self._store.start()
        except OSError as error:
            raise OSError(f"CHAOSAPI_STORE: {error}") from error
        self._kill.start()

    async def _close(self) -> None:
        self._pools.close()
        await self._kill.close()
        await self._heart.report_leaving()
        await self._store.close()

    def _apply(self, state: State) -> None:
        diff = Diff.of(self._engine.state, state)
        replaced = self._totals if diff.replaces else None
        if replaced:
            replaced.snapshot()  # the last counts of the replaced fault
        self._engine.load(state, diff)
        if replaced:
            replaced.snapshot()  # the counts of the new fault begin at 0
        self._supervisor.sync(self._engine.live())
        self._watch.snapshot_counters()
        self._heart.report_soon()

    def _settle(self) -> None:
        self._engine.drop_ended()
        self._supervisor.sync(self._engine.live())

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _LAG_INTERVAL_S
            await asyncio.sleep(_LAG_INTERVAL_S)
            self._lag.observe(loop.time() - due)


def _among_workers(
    place: "Place", registry: CollectorRegistry, faults: FaultMetrics
) -> "tuple[MultiprocessCollector, MmapCounters, SharedInbox]":
    """Return the collector that sums up all workers, this worker's counters, and the alerts that workers share."""
    from chaosapi.store.alerts_sqlite import SharedInbox
    from chaosapi.telemetry.counters import MmapCounters
    from chaosapi.telemetry.multiprocess import MultiprocessCollector

    totals = MultiprocessCollector(registry, faults, place.folder, place.slot)
    return totals, MmapCounters(place.folder, place.slot), SharedInbox(place.folder / "inbox.sqlite")


def _store(settings: Settings, clock: Callable[[], float]) -> Store:
    try:
        return open_store(settings.store, clock)
    except ValueError as error:
        raise SettingsError(f"CHAOSAPI_STORE: {error}") from None


def _forecaster(settings: Settings, flow: RateMeter, check: Callable[[], None]) -> forecasts.Forecaster:
    source = settings.slo or assets.path("alerts") / "slo.yaml"
    forecaster = forecasts.Forecaster(source, settings.profile, flow, check)
    if settings.slo or settings.profile != Settings.model_fields["profile"].default:
        try:
            forecaster.load()  # report broken files at startup
        except (Invalid, NotInstalled) as error:
            raise SettingsError(f"CHAOSAPI_SLO={source}, CHAOSAPI_PROFILE={settings.profile}: {error}") from None
    return forecaster


def _documented(**options: Any) -> FastAPI:
    """Return a FastAPI app; with fastapi-offline (extra `serve`) its docs need no network."""
    try:
        from fastapi_offline import FastAPIOffline
    except ModuleNotFoundError:
        return FastAPI(**options)
    return FastAPIOffline(**options, static_url="/admin/static")
