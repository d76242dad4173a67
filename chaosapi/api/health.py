"""Probes and metrics."""

from typing import Literal

from fastapi import APIRouter, Request, Response

from chaosapi.api import exposition
from chaosapi.api.descriptions import Responses
from chaosapi.models import Model
from chaosapi.routes import PROBES
from chaosapi.runtime.process_effects import Probes
from chaosapi.telemetry.app_metrics import AppMetrics


class HealthAnswer(Model):
    """The answer of a probe."""

    status: Literal["ok", "failing"] = "ok"


class HealthEndpoints:
    """The routes of the probes and of the metrics."""

    def __init__(self, metrics: AppMetrics, probes: Probes) -> None:
        self._probes = probes
        self._exposition = exposition.Exposition(metrics.encode)

    def router(self) -> APIRouter:
        """Return /healthz, /readyz and /metrics."""
        api = APIRouter(tags=["health"])
        failing: Responses = {503: {"model": HealthAnswer}}
        api.get("/healthz", responses=failing)(self.healthz)
        api.get("/readyz", responses=failing)(self.readyz)
        api.get("/metrics", response_class=Response, responses=exposition.TEXT)(self.metrics)
        return api

    async def healthz(self, response: Response) -> HealthAnswer:
        """Report whether the process is alive."""
        return self._answer_probe("/healthz", response)

    async def readyz(self, response: Response) -> HealthAnswer:
        """Report whether the service takes traffic."""
        return self._answer_probe("/readyz", response)

    async def metrics(self, request: Request) -> Response:
        """Expose the metrics in the format that the scraper prefers."""
        return await self._exposition.answer(request)

    def _answer_probe(self, path: str, response: Response) -> HealthAnswer:
        if not self._probes.fails(PROBES[path]):
            return HealthAnswer()
        response.status_code = 503
        return HealthAnswer(status="failing")
