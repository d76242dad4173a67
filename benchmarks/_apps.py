"""The shop without middleware, or with other libraries' middlewares: `python _apps.py NAME [WORKERS]`.

The handlers, the event loop and uvicorn's settings are those of `chaosapi serve`.
"""

import os
import random
import sys
from collections.abc import Callable, Iterator
from typing import Any, Final

import uvicorn
from fastapi import FastAPI
from fastapi.telemetry import TelemetryConfig
from prometheus_fastapi_instrumentator import Instrumentator
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette_exporter import PrometheusMiddleware, handle_metrics

import chaosapi
from chaosapi import shop
from chaosapi.settings import Settings
from chaosapi.world.world import World


def bare(telemetry: TelemetryConfig | None = None) -> FastAPI:
    """Return an app with the shop's routes alone."""
    app = FastAPI(telemetry=telemetry)
    world = World()
    app.include_router(shop.router(shop.Shop(lambda: world)))
    return app


def silent() -> FastAPI:
    """Turn off FastAPI's OpenTelemetry look-up on each request, as chaosapi's shop does."""
    return bare({"tracing": False, "metrics": False, "logs": False})


def installed() -> FastAPI:
    """Return the app with `chaosapi.install`."""
    app = silent()
    chaosapi.install(app, Settings(access_log=False))
    return app


def instrumentator() -> FastAPI:
    """Return the app with the metrics of prometheus-fastapi-instrumentator."""
    app = bare()
    Instrumentator().instrument(app).expose(app)
    return app


def exporter() -> FastAPI:
    """Return the app with the metrics of starlette-exporter."""
    app = bare()
    app.add_middleware(PrometheusMiddleware)
    app.add_route("/metrics", handle_metrics)
    return app


class Injector(BaseHTTPMiddleware):
    """A fault injector as in tutorials; its rate is 0."""

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        """Answer with an error at the rate, else pass the request on."""
        if request.url.path.startswith("/api") and random.random() < 0:
            return JSONResponse({"detail": "injected"}, 503)
        return await call_next(request)


def injector() -> FastAPI:
    """Return the app with the tutorials' fault injector, without metrics."""
    app = bare()
    app.add_middleware(Injector)
    return app


APPS: Final[dict[str, Callable[[], FastAPI]]] = {
    "bare FastAPI": bare,
    "without its OpenTelemetry": silent,
    "chaosapi.install around that": installed,
    "instrumentator": instrumentator,
    "starlette-exporter": exporter,
    "BaseHTTPMiddleware": injector,
}
ERROR: Final = {"effect": {"type": "error"}}
ELSEWHERE: Final = {**ERROR, "target": {"routes": ["/api/checkout", "/api/cart/*"]}}
OTHERS: Final = {**ERROR, "target": {"headers": {"x-tenant": "acme"}}}
NEVER: Final = {**ERROR, "rate": 1e-12}
OURS: Final[dict[str, tuple[int, dict[str, Any]]]] = {
    "chaosapi": (0, {}),
    "1 fault on other routes": (1, ELSEWHERE),
    "10 faults on other routes": (10, ELSEWHERE),
    "100 faults on other routes": (100, ELSEWHERE),
    "1 fault that never hits": (1, NEVER),
    "100 faults on other tenants": (100, OTHERS),
}
"""The number of faults and the fault, by variant; the last two kinds are evaluated on every request."""


def faults(name: str) -> Iterator[dict[str, Any]]:
    """Return the faults of a chaosapi variant, as bodies for the admin API."""
    count, fault = OURS[name]
    for number in range(count):
        yield {"name": f"f-{number}", **fault, "schedule": {"duration": "1h"}}


def make() -> FastAPI:
    """Return the app that BENCHED_APP names; each worker calls this."""
    return APPS[os.environ["BENCHED_APP"]]()


if __name__ == "__main__":
    os.environ["BENCHED_APP"] = sys.argv[1]
    uvicorn.run(
        "_apps:make",
        factory=True,
        port=0,
        workers=int(sys.argv[2]) if len(sys.argv) > 2 else 1,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        server_header=False,
    )
