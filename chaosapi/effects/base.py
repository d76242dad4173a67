"""The base classes of effects. An effect acts on a request or the process and knows no rate, target, time or count."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol

from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.effects.distributions import Distribution
from chaosapi.inner import Place
from chaosapi.models import Model

Probe = Literal["readiness", "liveness"]
Resource = Literal["cpu", "memory"]
Permission = Literal["allow_crash"]
MultiprocessMode = Literal["livesum", "livemin", "livemax"]
"""How the gauges of all live workers are aggregated."""


class Occupancy(Protocol):
    """Meters how many requests wait for a place and how many have one, in one queue."""

    def join(self) -> None:
        """Count a request that begins to wait."""

    def admit(self) -> None:
        """Count a request that waited as one with a place."""

    def leave(self, *, admitted: bool) -> None:
        """Count a request no longer, which had a place or waited for one."""


class Tools(Protocol):
    """The tools that the middleware gives an effect for one request.

    An effect waits only with these tools, or for the app and the client (`app`, `send`). Every wait here ends when the
    fault ends, when the client disconnects, when the server stops, or after the given seconds; `hold` comes before it.
    """

    draw: float
    """A uniform number in [0, 1), the same for the same request on every replica."""
    magnitude: float
    """The magnitude in [0, 1]: below 1 only while a shape scales it."""
    arrived: float
    """When the request arrived, in seconds on the middleware's clock."""
    memory: Any
    """The state that the effect's `remember` returned for this fault on this replica."""

    occupancy: Occupancy
    """Meters the queue in front of the service, or of the dependency where the effect acts on a call."""

    def now(self) -> float:
        """Return the time on the middleware's clock, in seconds."""

    def acting(self) -> bool:
        """Return whether the fault is active and the client is connected."""

    def over(self) -> bool:
        """Return whether the fault has ended."""

    def disconnected(self) -> bool:
        """Return whether the client has disconnected."""

    can_drop: bool
    """Whether `drop` works: not every server gives access to its connections."""

    def drop(self, *, reset: bool) -> None:
        """Close the connection at once and discard the rest of the response; with `reset`, send a TCP RST."""

    async def sleep(self, planned: float, since: float | None = None) -> None:
        """Hold the request until `planned` seconds after `since` (now unless given), or while `acting`."""

    async def wait(self, planned: float, since: float | None = None) -> None:
        """Sleep, record the planned and the measured delay in the receipt, and release."""

    async def until(self, future: asyncio.Future[None], seconds: float) -> None:
        """Wait for the future, at most `seconds`; it is cancelled when `acting` may have changed."""

    async def give_way(self) -> None:
        """Let other requests have a turn of the event loop, in the middle of long work."""

    def record_delay(self, planned: float, measured: float) -> None:
        """Record one delay, in seconds, in the receipt."""

    def record_wait(self, since: float, seconds: float, *, admitted: bool, rejected: bool) -> None:
        """Record one wait for a place, of zero seconds where one was free."""

    def hold(self) -> bool:
        """Count the request as held from now on, and as injected.

        Return False, and count it as skipped, where the fault has ended or as many requests are held as may be.
        """

    def release(self) -> None:
        """Stop counting the request as held; without this call it counts as held until the response ends."""

    def instead(self, effect: "RequestEffect") -> ASGIApp:
        """Return an app that answers by another effect, inside the app's own middleware; no other fault acts."""

    def problem_detail(self, status: int) -> str | None:
        """Return what the app itself says when it answers with this status; None where that is not known."""

    def count_injected(self) -> None:
        """Count the request as injected, unless it is counted already; for effects whose `counts_itself` is true."""

    def count_skipped(self, reason: str) -> None:
        """Count the request as skipped, unless it is counted already; for effects whose `counts_itself` is true."""


class Host(Protocol):
    """The tools that the runner of process effects gives an effect, which runs in its own thread."""

    def now(self) -> float:
        """Return the time on a steady clock, in seconds."""

    def acting(self) -> bool:
        """Return whether the fault still acts."""

    def strength(self) -> float:
        """Return the fault's strength now, in [0, 1]."""

    def sleep(self, seconds: float) -> None:
        """Sleep for `seconds`, or until the fault ends."""

    def freeze(self, seconds: float, rest: float) -> None:
        """Block the event loop that serves traffic for `seconds`, or until the fault ends; count it in the receipt.

        Skip the pause, and count it as skipped, unless the loop has run for `rest` seconds since the last pause.
        """

    def burn(self, cores: float) -> None:
        """Use `cores` cores until the next call; to be repeated every tenth of a second. Raises OSError."""

    def fail(self, probe: Probe, *, failing: bool) -> None:
        """Make a probe fail, or succeed again; each failed probe counts in the receipt."""

    def count_act(self) -> None:
        """Count one act in the receipt."""


class Ending(NamedTuple):
    """How requests that are hit end."""

    status: int | None
    """None: the connection is closed without a response."""
    share: float = 1.0
    """The share of the hit requests, 0 to 1."""
    hold_s: float = 0.0
    """Seconds for which the requests are held first."""


class Delay(NamedTuple):
    """The delay of requests that are hit."""

    distribution: Distribution
    """The delay in seconds at magnitude 1."""
    cap: float
    """The longest delay, in seconds."""
    pads: bool
    """Whether the delay is a minimum for the whole response instead of an addition to it."""


DEPENDS_ON_LOAD: Final = "what {type} does to requests depends on the load"
"""Why most effects that limit a resource cannot be forecast."""


class EffectMetric(NamedTuple):
    """A metric that each fault with an effect has: its help text, and for a gauge how workers are aggregated.

    Without a mode the metric is a counter.
    """

    text: str
    multiprocess_mode: MultiprocessMode | None = None


class Effect(Model, ABC):
    """Base of all effects."""

    type: str
    ends_request: ClassVar[bool] = False
    """Whether the effect decides the response; of several such faults, only the oldest acts."""
    inside: ClassVar[Place | None] = None
    """Where in the app's own middleware the effect acts; None: around all of it, next to the connection."""
    gate: ClassVar[bool] = False
    """Whether the effect runs before all others and decides which requests reach them."""
    counts_itself: ClassVar[bool] = False
    """Whether the effect itself counts the requests that it injects and skips."""
    scalable: ClassVar[bool] = False
    """Whether the effect has a magnitude that a shape can scale."""
    at_points: ClassVar[bool] = False
    """Whether the effect can act on a call to a dependency as well."""
    unpredictable: ClassVar[str | None] = "what {type} does to requests is not known to the forecast"
    """Why the effect cannot be forecast; None where `endings`, `delay` and `damages_body` describe it."""
    damages_body: ClassVar[bool] = False
    """Whether the effect damages responses after their status was sent, so that indicators count them as good."""
    demands: ClassVar[Mapping[Resource, str]] = {}
    """The field with the amount of each resource that settings limit: cores of `cpu`, bytes of `memory`."""
    permission: ClassVar[Permission | None] = None
    """The setting that must be on for the effect to be allowed."""
    metrics: ClassVar[Mapping[str, EffectMetric]] = {}
    """The metrics that `readings` returns, by their names without the prefix."""
    shorthand: ClassVar[str | None] = None
    """The path of the parameter that `chaosapi fault add TYPE VALUE` sets, such as `status` of `error`."""
    example: ClassVar[dict[str, Any]]
    """A valid request body for the catalogue of effects."""

    def endings(self) -> Sequence[Ending]:
        """Return how requests that are hit end; an empty list where the app answers them."""
        return ()

    def obstacle(self) -> tuple[str, str] | None:
        """Return the field because of which the effect cannot act in this process, and the reason; None if it can."""
        return None

    def delay(self) -> Delay | None:
        """Return the delay of requests that are hit; None where the effect adds none."""
        return None


class RequestEffect(Effect):
    """Acts on requests, one by one."""

    def remember(self, former: Any = None) -> Any:
        """Return the state that one fault keeps between requests; `former` is its state before a patch.

        The thread that changes the fault calls this.
        """
        return former

    def readings(self, memory: Any) -> Mapping[str, float]:
        """Return the value of each of the `metrics`."""
        return {}

    @abstractmethod
    async def inject(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, tools: Tools) -> None:
        """Act on one request, which `app` would answer otherwise.

        After each wait, for the effect's own delay or for the app, check `over` before acting.
        """


class ProcessEffect(Effect):
    """Acts on the whole process: no rate, no target; a shape scales how hard."""

    scalable: ClassVar[bool] = True
    unpredictable: ClassVar[str | None] = DEPENDS_ON_LOAD

    @abstractmethod
    def act(self, host: Host) -> None:
        """Act from the fault's start until `host.acting()` is false, and always free what was taken."""
