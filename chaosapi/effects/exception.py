"""Raise an exception in the app."""

import builtins
import sys
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.effects.base import Ending, RequestEffect, Tools
from chaosapi.inner import Place

_CONTROL_FLOW = (StopIteration, StopAsyncIteration)
"""Python turns these into a RuntimeError where a coroutine raises them."""


class AppException(RequestEffect):
    """Raise an exception inside the app: its handler for that class answers, or its own 500 with a logged traceback."""

    type: Literal["exception"] = "exception"
    message: Annotated[str, Field(max_length=500)] = "something went wrong"
    """The exception's text."""
    raises: Annotated[str, Field(pattern=r"^[A-Za-z_]\w*(\.[A-Za-z_]\w*)*$", max_length=200)] | None = None
    """The exception's class: a built-in one (`TimeoutError`), or the import path of one that the app has imported
    (`asyncpg.exceptions.TooManyConnectionsError`) and that takes a message alone. Unless given, a RuntimeError."""

    ends_request: ClassVar[bool] = True
    inside: ClassVar[Place | None] = "handlers"
    at_points: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = None
    shorthand: ClassVar[str | None] = "message"
    example: ClassVar[dict[str, Any]] = {"type": "exception", "message": "connection pool exhausted"}

    def endings(self) -> Sequence[Ending]:
        """Return the app's own 500; a handler of the app may answer otherwise."""
        return [Ending(500)]

    def obstacle(self) -> tuple[str, str] | None:
        """Return why there is no such exception in this process."""
        try:
            self._exception()
        except ValueError as error:
            return "raises", str(error)
        return None

    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Raise the exception in place of the app's routes."""
        raise self._exception()

    def _exception(self) -> Exception:
        """Return the exception to raise; raise ValueError where it cannot be made."""
        if self.raises is None:
            return RuntimeError(self.message)
        found = _find(self.raises)
        is_raisable = isinstance(found, type) and issubclass(found, Exception) and not issubclass(found, _CONTROL_FLOW)
        if not is_raisable:
            raise ValueError(f"{self.raises} is no exception class that an app may raise")
        try:
            made: Exception = found(self.message)
        except Exception as error:  # noqa: BLE001 - whatever somebody else's class raises
            raise ValueError(f"{self.raises} cannot be made from a message alone: {error}") from None
        return made


def _find(path: str) -> Any:
    """Return the object at an import path, without importing or running anything; raise ValueError if there is none."""
    module, _, name = path.rpartition(".")
    names = [name]
    while module and module not in sys.modules:
        module, _, outer = module.rpartition(".")
        names.insert(0, outer)
    found: Any = sys.modules[module] if module else builtins
    for name in names:
        found = vars(found).get(name) if hasattr(found, "__dict__") else None
    if found is None:
        raise ValueError(
            f"there is no {path} in the modules that this process has imported: give a built-in exception, or the path "
            "of the module that defines the class"
        )
    return found
