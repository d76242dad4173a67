"""What an effect is: it acts on one request, and knows nothing of rates, targets, time or counting."""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.models import Model


class Tools(Protocol):
    """What the middleware lends to an effect for one request."""

    draw: float
    """A uniform number in [0, 1), the same for the same request on every replica."""
    magnitude: float
    """How hard, in [0, 1]: below 1 only while a shape scales the magnitude."""
    arrived: float
    """When the request came in, in seconds of the middleware's clock."""

    def now(self) -> float:
        """Return the time on the middleware's clock, in seconds."""

    async def sleep(self, planned: float, since: float | None = None) -> None:
        """Hold the request until `planned` seconds after `since` (now unless given), or until the fault ends."""

    async def wait(self, planned: float, since: float | None = None) -> None:
        """Sleep, and count planned and real delay in the receipt."""


class Effect(Model, ABC):
    """Base of all effects."""

    type: str
    ends_request: ClassVar[bool] = False
    """Whether it decides the answer; of several that do, the oldest fault's is used."""
    holds: ClassVar[bool] = False
    """Whether it keeps requests waiting, and so counts against `max_held`."""
    scalable: ClassVar[bool] = False
    """Whether it has a magnitude that a shape can scale."""
    example: ClassVar[dict[str, Any]]
    """A body for the catalogue that works as it is."""

    @abstractmethod
    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Act on one request; `app` is what would answer it otherwise."""
