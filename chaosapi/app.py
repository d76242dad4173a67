"""The shop with chaosapi around it, as `chaosapi serve` runs it."""

import contextlib
import time
from collections.abc import Callable
from importlib.metadata import version

from fastapi_offline import FastAPIOffline

from chaosapi import shop
from chaosapi.api import problems
from chaosapi.api.descriptions import UNTRACED
from chaosapi.api.head import HeadMiddleware
from chaosapi.installation import add_inner_middleware, routes_of
from chaosapi.runtime.lifespan import LifespanMiddleware
from chaosapi.runtime.workers.context import WorkerContext
from chaosapi.settings import Settings
from chaosapi.telemetry.faults import CallbackCounter
from chaosapi.wiring import Chaos

with contextlib.suppress(ModuleNotFoundError):
    # The first forecast would import it, after the heap is frozen; every full garbage collection would then scan it.
    import chaosapi.api.prediction  # noqa: F401 - imported for the side effect only

_ABOUT = """A small shop, the target of a practice range for on-call.

The admin API, documented at `/admin/docs`, injects its failures.
"""


def _none() -> int:
    return 0


def create_app(
    settings: Settings,
    clock: Callable[[], float] = time.time,
    worker: WorkerContext | None = None,
    dropped: Callable[[], int] = _none,
    steady: Callable[[], float] = time.monotonic,
) -> LifespanMiddleware:
    """Build the service; `clock` returns Unix seconds and decides when faults start and end.

    `worker` is given to one of several workers; `dropped` returns how many log lines were dropped.
    """
    app = FastAPIOffline(title="shop", version=version("chaosapi"), description=_ABOUT, telemetry=UNTRACED)
    problems.install(app)
    add_inner_middleware(app)
    sells = shop.Shop(lambda: chaos.world)
    app.include_router(shop.router(sells))
    # Move the shop's routes before those of the docs, because the router tries routes in order.
    app.router.routes.insert(0, app.router.routes.pop())
    chaos = Chaos(
        settings,
        routes_of(app, settings.exempt),
        clock,
        shop.POINTS,
        worker,
        steady,
        classes=shop.CLASSES,
        details=shop.failure_detail,
    )
    chaos.registry.register(shop.DependencyMetrics(sells.dependencies))
    chaos.registry.register(shop.ShopMetrics(sells, lambda: chaos.world, chaos.replica))
    text = "Log lines dropped because the reader was too slow or the write failed."
    chaos.registry.register(CallbackCounter("chaosapi_log_lines_dropped", text, dropped))
    return chaos.around(HeadMiddleware(app))
