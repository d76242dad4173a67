"""What an effect is: it acts on a request or on the process, and knows nothing of rates, targets, time or counting."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.effects.distributions import Distribution
from chaosapi.models import Model

Probe = Literal["readiness", "liveness"]
Resource = Literal["cpu", "memory"]
Permission = Literal["allow_crash"]
MultiprocessMode = Literal["livesum", "livemin", "livemax"]
"""How the gauges of all living workers become one."""


class Tools(Protocol):
    """What the middleware lends to an effect for one request.

    An effect waits only by these tools, or for the app and the client (`app`, `send`). Every wait here ends with the
    fault, when the client leaves, when the server stops, and after the given seconds.
    """

    draw: float
    """A uniform number in [0, 1), the same for the same request on every replica."""
    magnitude: float
    """How hard, in [0, 1]: below 1 only while a shape scales the magnitude."""
    arrived: float
    """When the request came in, in seconds of the middleware's clock."""
    memory: Any
    """What the effect's `remember` made for this run of the fault on this replica."""

    def now(self) -> float:
        """Return the time on the middleware's clock, in seconds."""

    def acting(self) -> bool:
        """Tell whether there is still somebody to act on: the fault has not ended and the client has not left."""

    def over(self) -> bool:
        """Tell whether the fault has ended."""

    def disconnected(self) -> bool:
        """Tell whether the client has left."""

    def drop(self, *, reset: bool) -> None:
        """Close the connection without what is still due of the answer, at once; with `reset` by a TCP RST."""

    async def sleep(self, planned: float, since: float | None = None) -> None:
        """Hold the request until `planned` seconds after `since` (now unless given), or while `acting`."""

    async def wait(self, planned: float, since: float | None = None) -> None:
        """Sleep, count planned and real delay in the receipt, and release."""

    async def until(self, turn: asyncio.Future[None], seconds: float) -> None:
        """Wait for the future, at most so long; it is cancelled once there is reason to look at `acting` again."""

    def record_delay(self, planned: float, measured: float) -> None:
        """Count one delay in the receipt, in seconds."""

    def release(self) -> None:
        """Count the request as held no longer; unless called, it is held until it is answered."""

    def count_injected(self) -> None:
        """Count the request as hit; for effects that pick."""

    def count_skipped(self, reason: str) -> None:
        """Count the request as let off; for effects that pick."""


class Host(Protocol):
    """What the supervisor lends to an effect on the process, in a thread of its own."""

    def now(self) -> float:
        """Return the time on a steady clock, in seconds."""

    def acting(self) -> bool:
        """Tell whether the fault still acts."""

    def strength(self) -> float:
        """Return the fault's strength now, in [0, 1]."""

    def sleep(self, seconds: float) -> None:
        """Sleep so long, or until the fault ends."""

    def freeze(self, seconds: float, rest: float) -> None:
        """Stop the event loop that serves traffic for so long, or until the fault ends; counted in the receipt.

        Left out, and counted so, unless the loop has run for `rest` seconds since it last stood.
        """

    def burn(self, cores: float) -> None:
        """Use so many cores until told otherwise; to be repeated every tenth of a second. Raises OSError."""

    def fail(self, probe: Probe, *, failing: bool) -> None:
        """Let a probe fail, or stop doing so; each probe that is failed counts in the receipt."""

    def count_act(self) -> None:
        """Count one act in the receipt."""


class Ending(NamedTuple):
    """How requests that are hit end."""

    status: int | None
    """None: the connection is closed without an answer."""
    share: float = 1.0
    """Of those that are hit, 0 to 1."""
    hold_s: float = 0.0
    """Seconds for which they are held before."""


class Delay(NamedTuple):
    """How long requests that are hit take."""

    distribution: Distribution
    """Of the seconds that a magnitude of 1 takes."""
    cap: float
    """Seconds that none exceeds."""
    pads: bool
    """Whether it is that of the whole answer, and not added to it."""


DEPENDS_ON_LOAD: Final = "what {type} does to requests depends on the load"
"""Why nothing can be forecast of most effects that take something away."""


class EffectMetric(NamedTuple):
    """A metric of each fault with an effect: its help, and for a gauge how those of several workers become one.

    Without a mode it is a counter.
    """

    text: str
    multiprocess_mode: MultiprocessMode | None = None


class Effect(Model, ABC):
    """Base of all effects."""

    type: str
    ends_request: ClassVar[bool] = False
    """Whether it decides the answer; of several that do, the oldest fault's is used."""
    gate: ClassVar[bool] = False
    """Whether it stands before all other effects and decides who gets through to them."""
    holds: ClassVar[bool] = False
    """Whether it keeps requests waiting, and so counts against `max_held`."""
    picks: ClassVar[bool] = False
    """Whether it sees for itself which requests it really acts on, and reports each."""
    scalable: ClassVar[bool] = False
    """Whether it has a magnitude that a shape can scale."""
    at_points: ClassVar[bool] = False
    """Whether it can act on a call to a dependency as well."""
    unpredictable: ClassVar[str | None] = "what {type} does to requests is not known to the forecast"
    """Why no forecast can say what becomes of requests; None where `endings`, `delay` and `spoils` do."""
    spoils: ClassVar[bool] = False
    """Whether it spoils answers whose status was sent before, so that indicators count them as good."""
    demands: ClassVar[Mapping[Resource, str]] = {}
    """Which of its fields says how much it takes of what settings limit: cores of `cpu`, bytes of `memory`."""
    permission: ClassVar[Permission | None] = None
    """The setting without which it is refused."""
    shows: ClassVar[Mapping[str, EffectMetric]] = {}
    """The metrics that `readings` gives, by their names without the prefix."""
    example: ClassVar[dict[str, Any]]
    """A body for the catalogue that works as it is."""

    def endings(self) -> Sequence[Ending]:
        """Return how requests that are hit end; none where the app answers them."""
        return ()

    def delay(self) -> Delay | None:
        """Return how long requests that are hit take, None where that does not change."""
        return None


class RequestEffect(Effect):
    """Acts on requests, one by one."""

    def remember(self, former: Any = None) -> Any:
        """Make what one run of the fault keeps from request to request; `former` is what it kept before a patch.

        Called by whoever changes the fault, in any thread.
        """
        return former

    def readings(self, memory: Any) -> Mapping[str, float]:
        """Return the values of the metrics in `shows`."""
        return {}

    @abstractmethod
    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Act on one request; `app` is what would answer it otherwise.

        Whatever is decided after a wait, of its own or the app's, asks first whether the fault is `over`.
        """


class ProcessEffect(Effect):
    """Acts on the whole process: no rate, no target; a shape scales how hard."""

    scalable: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = DEPENDS_ON_LOAD

    @abstractmethod
    def act(self, host: Host) -> None:
        """Act from the fault's start until `host` says that it is over; give back what was taken, whatever happens."""
