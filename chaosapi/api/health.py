"""Probes and metrics."""

from typing import Literal

from fastapi import APIRouter, Request, Response
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from chaosapi.models import Model


class Health(Model):
    """The answer of a probe."""

    status: Literal["ok"] = "ok"


def router(registry: CollectorRegistry) -> APIRouter:
    """Make /healthz, /readyz and /metrics."""
    api = APIRouter(tags=["health"])

    @api.get("/healthz")
    async def healthz() -> Health:
        """Tell that the process is alive."""
        return Health()

    @api.get("/readyz")
    async def readyz() -> Health:
        """Tell that the service takes traffic."""
        return Health()

    @api.get("/metrics", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
    async def metrics(request: Request) -> Response:
        """Expose the metrics in the format that the scraper asks for."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), media_type=content_type)

    return api
