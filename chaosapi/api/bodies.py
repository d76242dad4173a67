"""How routes read request bodies: as JSON, within a budget that is checked before anything is built."""

from collections.abc import AsyncIterator, Callable, Coroutine
from functools import partial
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from chaosapi import budget
from chaosapi.api import validation
from chaosapi.budget import Budget
from chaosapi.errors import ChaosError, UnsupportedType
from chaosapi.runtime.pool import Pool

Handler = Callable[[Request], Coroutine[Any, Any, Response]]

LARGE: Final = 2**14
"""Bytes of a body from which on it is read in a pool: at most a millisecond's work is done in the event loop."""


def reading(allowed: Budget, pool: Pool | None = None) -> type[APIRoute]:
    """Make a route class, for APIRouter(route_class=...), whose routes read no body beyond this budget.

    Large bodies are parsed and validated in the pool, where one is given, so that they hold nobody up; where it is full
    they are refused. Without a pool the budget has to be a small one.
    """

    class Route(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()
            field = self.body_field
            if field is None:
                return handle

            async def within(request: Request) -> Response:
                return await handle(_Request(request, allowed, partial(_validated, field), pool))

            return within

    return Route


class _Request(Request):
    def __init__(
        self, request: Request, allowed: Budget, validated: Callable[[Any], Any], pool: Pool | None = None
    ) -> None:
        super().__init__(request.scope, request.receive)
        self._allowed = allowed
        self._validated = validated
        self._pool = pool
        declared = self.headers.get("content-length", "")
        if declared.isdecimal() and int(declared[:20]) > allowed.size:
            raise budget.too_large(allowed)
        if (coding := self.headers.get("content-encoding", "identity").lower()) != "identity":
            raise UnsupportedType(f"the body is encoded as {budget.shown(coding)}: send it without content-encoding")

    async def stream(self) -> AsyncIterator[bytes]:  # type: ignore[override]  # Starlette's is an AsyncGenerator
        """Read the body; one that turns out too large is left unread."""
        seen = 0
        async for part in super().stream():
            seen += len(part)
            if seen > self._allowed.size:
                raise _passed(budget.too_large(self._allowed))
            yield part

    async def json(self) -> Any:
        """Read the body as JSON; a large one comes validated, which FastAPI takes as it is."""
        body = await self.body()
        try:
            if self._pool is None or len(body) < LARGE:
                return budget.read(body, self._allowed)
            return await self._pool.run(lambda: self._validated(budget.read(body, self._allowed)))
        except ChaosError as error:
            raise _passed(error) from error


async def understood(request: Request, allowed: Budget) -> Any:
    """Read what a body says, whatever its type is; None where that is nothing, or cannot be read within the budget."""
    try:
        return await _Request(request, allowed, lambda document: document).json()
    except (ChaosError, HTTPException):
        return None


def _validated(field: Any, document: Any) -> Any:
    """Return what the route takes; raises Invalid, which names the fields that are wrong."""
    made, errors = field.validate(document, loc=("body",))
    if errors:
        models = validation.models_in(field.field_info.annotation)
        raise validation.invalid(errors, document, models[0] if models else None, skipped=1)
    return made


def _passed(error: ChaosError) -> HTTPException:
    """Wrap an error so that FastAPI passes it on: it takes any other one for a broken body."""
    passed = HTTPException(error.status)
    passed.__cause__ = error
    return passed
