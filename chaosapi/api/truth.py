"""What the instructor alone may scrape: the metrics of faults."""

from fastapi import APIRouter, Request, Response
from prometheus_client.registry import Collector

from chaosapi.api import exposition


class TruthEndpoints:
    """The route of the metrics of faults, which /metrics does not show."""

    def __init__(self, truth: Collector) -> None:
        self._exposition = exposition.Exposition(lambda encode: encode(truth))

    def router(self) -> APIRouter:
        """Return /admin/metrics."""
        api = APIRouter(tags=["faults"])
        api.get("/admin/metrics", response_class=Response, responses=exposition.TEXT)(self.metrics)
        return api

    async def metrics(self, request: Request) -> Response:
        """Expose the metrics of faults: strengths, counts, the revision. `/metrics` has those of the service."""
        return await self._exposition.answer(request)
