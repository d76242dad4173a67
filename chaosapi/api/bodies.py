"""How routes read request bodies: as JSON, within a budget that is checked before anything is built."""

from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from chaosapi import budget
from chaosapi.budget import Budget
from chaosapi.errors import ChaosError, UnsupportedType

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


def reading(allowed: Budget) -> type[APIRoute]:
    """Make a route class, for APIRouter(route_class=...), whose routes read no body beyond this budget."""

    class Route(APIRoute):
        def get_route_handler(self) -> Handler:
            handle = super().get_route_handler()
            if self.body_field is None:
                return handle

            async def within(request: Request) -> Response:
                return await handle(_Request(request, allowed))

            return within

    return Route


class _Request(Request):
    def __init__(self, request: Request, allowed: Budget) -> None:
        super().__init__(request.scope, request.receive)
        self._allowed = allowed
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
        """Read the body as JSON."""
        body = await self.body()
        try:
            return budget.read(body, self._allowed)
        except ChaosError as error:
            raise _passed(error) from error


def _passed(error: ChaosError) -> HTTPException:
    """Wrap an error so that FastAPI passes it on: it takes any other one for a broken body."""
    passed = HTTPException(error.status)
    passed.__cause__ = error
    return passed
