"""Probes and metrics."""

from collections.abc import Callable
from functools import partial
from itertools import product
from typing import Final, Literal

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from chaosapi.models import Model
from chaosapi.routes import PROBES
from chaosapi.runtime.pool import Shared
from chaosapi.runtime.process_effects import Probes

_VERSIONS: Final = (
    "application/openmetrics-text;version=1.0.0",
    "application/openmetrics-text",
    "text/plain;version=1.0.0",
)
_ESCAPING: Final = ("", ";escaping=allow-utf-8", ";escaping=underscores", ";escaping=dots", ";escaping=values")


def _formats() -> dict[str, Callable[[Collector], bytes]]:
    """Return how to write each format that scrapers may ask for, by content type."""
    accepted = ["", *map("".join, product(_VERSIONS, _ESCAPING))]
    return {content_type: encode for encode, content_type in map(choose_encoder, accepted)}


def _content_type(accept: str) -> str:
    """Return the content type of the answer, that of plain text where the client asks for what nobody knows."""
    try:
        _, content_type = choose_encoder(accept)
    except (TypeError, ValueError):  # a version that is none
        return _PLAIN
    return content_type if content_type in _FORMATS else _PLAIN


_FORMATS: Final = _formats()
_PLAIN: Final = choose_encoder("")[1]


class Health(Model):
    """The answer of a probe."""

    status: Literal["ok", "failing"] = "ok"


def router(registry: Collector, probes: Probes) -> APIRouter:
    """Make /healthz, /readyz and /metrics."""
    api = APIRouter(tags=["health"])
    # A closed set: the client's own version in a content type would cost memory and a thread each.
    encoded = {content_type: Shared(partial(encode, registry)) for content_type, encode in _FORMATS.items()}

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
        content_type = _content_type(request.headers.get("accept", ""))
        return Response(await encoded[content_type](), media_type=content_type)

    return api
