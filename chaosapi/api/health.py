"""Probes and metrics."""

from functools import partial
from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client.registry import Collector

from chaosapi.api import exposition
from chaosapi.models import Model
from chaosapi.routes import PROBES
from chaosapi.runtime.pool import CoalescedWork
from chaosapi.runtime.process_effects import Probes


class HealthAnswer(Model):
    """The answer of a probe."""

    status: Literal["ok", "failing"] = "ok"


def router(registry: Collector, probes: Probes) -> APIRouter:
    """Make /healthz, /readyz and /metrics."""
    api = APIRouter(tags=["health"])
    written = {
        content_type: CoalescedWork(partial(encode, registry)) for content_type, encode in exposition.ENCODERS.items()
    }

    def health(path: str, response: Response) -> HealthAnswer:
        if not probes.fails(PROBES[path]):
            return HealthAnswer()
        response.status_code = 503
        return HealthAnswer(status="failing")

    @api.get("/healthz", responses={503: {"model": HealthAnswer}})
    async def healthz(response: Response) -> HealthAnswer:
        """Tell that the process is alive."""
        return health("/healthz", response)

    @api.get("/readyz", responses={503: {"model": HealthAnswer}})
    async def readyz(response: Response) -> HealthAnswer:
        """Tell that the service takes traffic."""
        return health("/readyz", response)

    @api.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics(request: Request) -> Response:
        """Expose the metrics in the format that the scraper asks for."""
        content_type = exposition.content_type(",".join(request.headers.getlist("accept")))
        return Response(await written[content_type](), media_type=content_type)

    return api
