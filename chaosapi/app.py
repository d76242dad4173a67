"""The shop with everything around it: what `chaosapi serve` runs."""

import contextlib
import time
from collections.abc import Callable
from importlib.metadata import version

from fastapi_offline import FastAPIOffline

from chaosapi import shop
from chaosapi.api import problems
from chaosapi.api.descriptions import UNTRACED
from chaosapi.injected_error import Raise
from chaosapi.installation import routes_of
from chaosapi.runtime.lifespan import LifespanMiddleware
from chaosapi.runtime.workers.place import Place
from chaosapi.settings import Settings
from chaosapi.telemetry.faults import CallbackCounter
from chaosapi.wiring import Chaos

with contextlib.suppress(ModuleNotFoundError):
    # With the first question it would be loaded anyway, and then be looked at by every full garbage collection.
    import chaosapi.api.prediction  # noqa: F401

_ABOUT = """A small shop, the target of a practice range for on-call.

Its failures are dialled in through the admin API, which is documented at `/admin/docs`.
"""


def _none() -> int:
    return 0


def create_app(
    settings: Settings,
    clock: Callable[[], float] = time.time,
    place: Place | None = None,
    dropped: Callable[[], int] = _none,
    steady: Callable[[], float] = time.monotonic,
) -> LifespanMiddleware:
    """Build the service; `clock` gives Unix seconds and decides when faults start and end.

    `place` is that of one of several workers; `dropped` counts the lines that its log lost.
    """
    app = FastAPIOffline(title="shop", version=version("chaosapi"), description=_ABOUT, telemetry=UNTRACED)
    problems.install(app)
    app.add_middleware(Raise)
    sells = shop.Shop(settings)
    app.include_router(shop.router(sells))
    # Before the docs: routes are tried one after the other.
    app.router.routes.insert(0, app.router.routes.pop())
    chaos = Chaos(settings, routes_of(app), clock, shop.POINTS, place, steady)
    chaos.registry.register(shop.DependencyMetrics(sells.dependencies))
    text = "Log lines that nobody read in time, or that could not be written."
    chaos.registry.register(CallbackCounter("chaosapi_log_lines_dropped", text, dropped))
    return chaos.around(app)
