"""Everything that chaosapi puts around an app, in the order in which a request passes through it."""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from functools import cached_property
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, Gauge
from starlette.types import ASGIApp

from chaosapi import assets
from chaosapi.api import admin, forecasting, health, hooks, problems, safety
from chaosapi.api.access import AccessGuard
from chaosapi.api.description import refusals
from chaosapi.api.desk import Desk
from chaosapi.api.limits import Limits
from chaosapi.api.switch import Switch
from chaosapi.engine import Engine
from chaosapi.errors import Forbidden, Invalid
from chaosapi.flow import Flow
from chaosapi.inbox import Inbox
from chaosapi.life import Life
from chaosapi.listener import Listener
from chaosapi.metrics import FaultMetrics, LagGauge, RequestMetrics
from chaosapi.middleware import Faults
from chaosapi.routes import RouteTable
from chaosapi.settings import Settings, SettingsError
from chaosapi.slo import spec, windows
from chaosapi.state import State
from chaosapi.store import MemoryStore
from chaosapi.supervisor import Supervisor
from chaosapi.telemetry import Telemetry
from chaosapi.watch import Watch

_ABOUT = """Faults are dialled in here.

Start with `POST /admin/faults` and `{"effect": {"type": "error"}, "rate": 0.2}`; `DELETE /admin/faults` ends it all.
"""

_TICK = 0.1

# Tells the docs to ask for the token; AccessGuard is what checks it.
_TOKEN = HTTPBearer(auto_error=False, description="CHAOSAPI_ADMIN_TOKEN")


class Chaos:
    """One replica: the faults, what they act on, and how they are steered and seen."""

    def __init__(
        self,
        settings: Settings,
        routes: RouteTable,
        clock: Callable[[], float] = time.time,
        points: Iterable[str] = (),
    ) -> None:
        self._settings, self._routes, self._clock = settings, routes, clock
        self.registry = _registry()
        """Everything that /metrics shows; the app may add its own."""
        self._lag = LagGauge(self.registry, time.monotonic)
        self._metrics = RequestMetrics(self.registry, routes.routes)
        self._engine = Engine(routes, clock)
        self.registry.register(FaultMetrics(self._engine))
        self._supervisor = Supervisor(clock)
        self._store = MemoryStore()
        self._inbox = Inbox()
        self._watch = Watch(self._store, self._engine, self._inbox, self._metrics.answers)
        self._store.subscribe(self._apply)
        self._limits = Limits(routes, settings, frozenset(points))
        self._flow = Flow(self._metrics.by_route)
        self._forecaster = _forecaster(settings, self._flow)

    @cached_property
    def control(self) -> FastAPI:
        """The control plane: admin API, webhook, probes and metrics."""
        app = FastAPIOffline(
            title="chaosapi",
            version=version("chaosapi"),
            description=_ABOUT,
            docs_url="/admin/docs",
            redoc_url=None,
            openapi_url="/admin/openapi.json",
            static_url="/admin/static",
            swagger_ui_oauth2_redirect_url="/admin/docs/oauth2-redirect",
        )
        problems.install(app)
        desk = Desk(self._store)
        token = [Depends(_TOKEN)] if self._settings.admin_token else []
        for guarded in (
            admin.router(desk, self._engine, self._limits, self._forecaster),
            forecasting.router(self._forecaster, self._limits),
            safety.router(desk, self._clock),
            hooks.router(self._inbox, self._watch.look, self._clock),
        ):
            app.include_router(guarded, dependencies=token, responses=refusals(Forbidden))
        app.include_router(health.router(self.registry, self._supervisor.probes))
        return app

    def around(self, app: ASGIApp) -> ASGIApp:
        """Wrap the app that serves users."""
        settings = self._settings
        guarded = AccessGuard(self.control, settings)
        switch = Switch(app, guarded, self._supervisor.probes, self._routes, settings.admin_port)
        faults = Faults(switch, self._engine, max_held=settings.max_held, mark=settings.mark_responses)
        held = Gauge("chaosapi_held_requests", "Requests that effects keep waiting now.", registry=self.registry)
        held.set_function(lambda: faults.held)
        replica = f"{socket.gethostname()}-{secrets.token_hex(4)}"
        telemetry = Telemetry(faults, self._routes, self._metrics, replica=replica, access_log=settings.access_log)
        listener, jobs = None, [self._measure_lag]
        beside = [self._watch.run, self._flow.run]
        if settings.admin_port is None:
            jobs += beside
        else:
            control = Life(guarded, beside)
            listener = Listener(control, settings.admin_host or settings.host, settings.admin_port)

        def start() -> None:
            switch.check()
            self._supervisor.start(asyncio.get_running_loop(), self._engine.runs())
            if listener:
                listener.start()

        def stop() -> None:
            self._supervisor.stop()
            if listener:
                listener.stop()

        return Life(telemetry, jobs, start, stop)

    def _apply(self, state: State) -> None:
        self._engine.load(state)
        self._supervisor.sync(self._engine.runs())
        self._watch.mark()

    async def _measure_lag(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + _TICK
            await asyncio.sleep(_TICK)
            self._lag.observe(loop.time() - due)


def _forecaster(settings: Settings, flow: Flow) -> forecasting.Forecaster:
    source = settings.slo or assets.path("alerts") / "slo.yaml"
    try:
        return forecasting.Forecaster(spec.load(source), windows.load(settings.profile), flow)
    except Invalid as error:
        raise SettingsError(f"CHAOSAPI_SLO={source}, CHAOSAPI_PROFILE={settings.profile}: {error}") from None


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    build = Gauge("chaosapi_build_info", "Which release runs.", ["version"], registry=registry)
    build.labels(version("chaosapi")).set(1)
    return registry
