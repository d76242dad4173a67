"""The whole service, in the order in which a request passes through it."""

import asyncio
import secrets
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import version

from fastapi import Depends, FastAPI
from fastapi.routing import iter_route_contexts
from fastapi.security import HTTPBearer
from fastapi_offline import FastAPIOffline
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry, Gauge
from starlette.types import ASGIApp

from chaosapi.api import admin, health, hooks, problems, safety, shop
from chaosapi.api.access import AccessGuard
from chaosapi.api.desk import Desk
from chaosapi.effects.exception import Raise
from chaosapi.engine import Engine
from chaosapi.metrics import FaultMetrics, LagGauge, RequestMetrics
from chaosapi.middleware import Faults
from chaosapi.routes import Route, RouteTable
from chaosapi.settings import Settings
from chaosapi.store import MemoryStore
from chaosapi.telemetry import Telemetry

_ABOUT = """A practice range for on-call: a small shop whose failures are dialled in at runtime.

Start with `POST /admin/faults` and `{"effect": {"type": "error"}, "rate": 0.2}`; `DELETE /admin/faults` ends it all.
"""

_TICK = 0.1

# Tells /docs to ask for the token; AccessGuard is what checks it.
_TOKEN = HTTPBearer(auto_error=False, description="CHAOSAPI_ADMIN_TOKEN, where one is set.")


def create_app(settings: Settings, clock: Callable[[], float] = time.time) -> ASGIApp:
    """Build the service; `clock` gives Unix seconds and decides when faults start and end."""
    replica = f"{socket.gethostname()}-{secrets.token_hex(4)}"
    registry = _registry()
    lag = LagGauge(registry, time.monotonic)
    store = MemoryStore()

    app = FastAPIOffline(
        title="chaosapi",
        version=version("chaosapi"),
        description=_ABOUT,
        lifespan=_lifespan(lag),
        max_body_size=1_000_000,
    )
    problems.install(app)
    app.add_middleware(Raise)
    app.include_router(shop.router())
    routes = _route_table(app)
    engine = Engine(routes, clock)
    store.subscribe(engine.load)
    desk = Desk(store)
    limits = admin.Limits(routes, settings)
    for guarded in (admin.router(desk, engine, limits), safety.router(desk, clock), hooks.router(clock)):
        app.include_router(guarded, dependencies=[Depends(_TOKEN)])
    app.include_router(health.router(registry))

    faults = Faults(AccessGuard(app, settings), engine, max_held=settings.max_held)
    registry.register(FaultMetrics(engine))
    held = Gauge("chaosapi_held_requests", "Requests that effects keep waiting now.", registry=registry)
    held.set_function(lambda: faults.held)
    metrics = RequestMetrics(registry, routes.routes)
    return Telemetry(faults, routes, metrics, replica=replica, access_log=settings.access_log)


def _registry() -> CollectorRegistry:
    registry = CollectorRegistry(auto_describe=True)
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    build = Gauge("chaosapi_build_info", "Which release runs.", ["version"], registry=registry)
    build.labels(version("chaosapi")).set(1)
    return registry


def _route_table(app: FastAPI) -> RouteTable:
    """Read the routes off the app, exempt ones left out."""
    return RouteTable.of(
        Route(
            context.path, context.path_regex, frozenset(context.methods), getattr(context, "status_code", None) or 200
        )
        for context in iter_route_contexts(app.routes)
        if context.path and context.methods
    )


def _lifespan(lag: LagGauge) -> Callable[[FastAPI], AbstractAsyncContextManager[None]]:
    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        ticking = asyncio.create_task(_measure_lag(lag))
        try:
            yield
        finally:
            ticking.cancel()

    return lifespan


async def _measure_lag(lag: LagGauge) -> None:
    loop = asyncio.get_running_loop()
    while True:
        due = loop.time() + _TICK
        await asyncio.sleep(_TICK)
        lag.observe(loop.time() - due)
