"""Read request bodies as JSON, within limits that are checked before any object is built."""

from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chaosapi import json_limits
from chaosapi.api import validation
from chaosapi.errors import ChaosError, ClientGone, UnsupportedType
from chaosapi.json_limits import JsonLimits
from chaosapi.runtime.pool import Pool

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

LARGE: Final = 2**14
"""Bytes from which a body is parsed in a pool: parsing a smaller one blocks the event loop for at most 1 ms."""


def route_class(allowed: JsonLimits, pool: Pool | None = None) -> type[APIRoute]:
    """Return a class for `APIRouter(route_class=...)` whose routes refuse bodies beyond these limits.

    A pool, if given, parses and validates large bodies, so that they do not block the event loop; while the pool is
    full, large bodies are refused with 503. Without a pool the limits must be small.
    """

    class Route(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()
            field = self.body_field
            if field is None:
                return handle

            async def handle_within_budget(request: Request) -> Response:
                return await handle(_Request(request, allowed, partial(_validate, field), pool))

            return handle_within_budget

    return Route


class _Request(Request):
    def __init__(
        self, request: Request, allowed: JsonLimits, validate: Callable[[Any], Any], pool: Pool | None = None
    ) -> None:
        super().__init__(request.scope, request.receive)
        self._allowed = allowed
        self._validate = validate
        self._pool = pool
        declared = self.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > allowed.size:
            raise json_limits.too_large(allowed)
        if (coding := self.headers.get("content-encoding", "identity").lower()) != "identity":
            raise UnsupportedType(
                f"the body is encoded as {json_limits.shown(coding)}: send it without content-encoding"
            )

    async def stream(self) -> AsyncIterator[bytes]:  # type: ignore[override]  # Starlette's is an AsyncGenerator
        """Yield the chunks of the body; stop reading a body that exceeds the limits."""
        size = 0
        try:
            async for chunk in super().stream():
                size += len(chunk)
                if size > self._allowed.size:
                    raise _wrap(json_limits.too_large(self._allowed))
                yield chunk
        except ClientDisconnect:
            gone = ClientGone("the client disconnected before its body was complete")
            raise _wrap(gone) from gone

    async def json(self) -> Any:
        """Return the body as JSON; a large body as a validated model, which FastAPI does not validate again."""
        body = await self.body()
        try:
            if self._pool is None or len(body) < LARGE:
                return json_limits.read(body, self._allowed)
            return await self._pool.run(lambda: self._validate(json_limits.read(body, self._allowed)))
        except ChaosError as error:
            raise _wrap(error) from error


async def read_leniently(request: Request, allowed: JsonLimits) -> Any:
    """Return the body as JSON, whatever its content type; None if it is empty, malformed or beyond the limits."""
    try:
        return await _Request(request, allowed, lambda document: document).json()
    except (ChaosError, HTTPException):
        return None


def _validate(field: Any, document: Any) -> Any:
    """Return the document as the route's model; raises Invalid, which names each wrong field."""
    value, errors = field.validate(document, loc=("body",))
    if errors:
        models = validation.models_in(field.field_info.annotation)
        raise validation.invalid(errors, document, models[0] if models else None, skipped=1)
    return value


def _wrap(error: ChaosError) -> HTTPException:
    """Return the error inside an HTTPException: FastAPI reports any other exception as malformed JSON."""
    wrapped = HTTPException(error.status, str(error))  # without a text, Starlette accepts registered statuses only
    wrapped.__cause__ = error
    return wrapped
