"""Probes and metrics."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from chaosapi.models import Model
from chaosapi.pool import Shared
from chaosapi.routes import PROBES
from chaosapi.supervisor import Probes


class Health(Model):
    """The answer of a probe."""

    status: Literal["ok", "failing"] = "ok"


def router(registry: Collector, probes: Probes) -> APIRouter:
    """Make /healthz, /readyz and /metrics."""
    api = APIRouter(tags=["health"])
    encoded: dict[str, Shared[bytes]] = {}

    def health(path: str, response: Response) -> Health:
        if not probes.fails(PROBES[path]):
            return Health()
        response.status_code = 503
        return Health(status="failing")

    @api.get("/healthz", responses={503: {"model": Health}})
    async def healthz(response: Response) -> Health:
        """Tell that the process is alive."""
        return health("/healthz", response)

    @api.get("/readyz", responses={503: {"model": Health}})
    async def readyz(response: Response) -> Health:
        """Tell that the service takes traffic."""
        return health("/readyz", response)

    @api.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics(request: Request) -> Response:
        """Expose the metrics in the format that the scraper asks for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        if content_type not in encoded:
            encoded[content_type] = Shared(lambda: encode(registry))
        return Response(await encoded[content_type](), media_type=content_type)

    return api
