"""How the shop calls what it depends on: with a time-out, a few more tries, and a circuit breaker."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from http import HTTPStatus
from typing import TypeVar

from purgatory import AsyncCircuitBreakerFactory, ContextChanged, Event
from purgatory.domain.model import OpenedState
from starlette.exceptions import HTTPException
from tenacity import AsyncRetrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from chaosapi.errors import ChaosError
from chaosapi.injection.dependencies import DependencyError, point
from chaosapi.settings import Settings

OUTCOMES = ("ok", "error", "timeout", "rejected")
"""How a call can end; a rejected one was never made, because the breaker is open."""

FAILURES_TO_OPEN = 5
"""In a row, after which the breaker opens."""

OPEN_S = 5.0
"""Seconds for which it stays open; then the next calls decide."""

T = TypeVar("T")


class Unavailable(HTTPException):
    """The shop cannot answer, because something behind it did not."""


class Dependency:
    """One thing that the shop depends on, named as its point is.

    Tries are spaced by full jitter, from 50 ms on and doubling: clients that failed together do not return together.
    """

    def __init__(
        self,
        name: str,
        settings: Settings,
        rest: float = OPEN_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.open = False
        self.calls = Counter(dict.fromkeys(OUTCOMES, 0))
        """Every try, by outcome."""
        self._timeout = settings.shop_timeout
        self._breaker_enabled = settings.shop_breaker
        self._open_s = rest
        self._retrying = AsyncRetrying(
            sleep=sleep,
            stop=stop_after_attempt(1 + settings.shop_retries),
            wait=wait_random_exponential(multiplier=0.05, max=1),
            retry=retry_if_exception(_is_transient),
            reraise=True,
        )
        sound = (BaseException, lambda error: not _is_transient(error))
        self._breakers = AsyncCircuitBreakerFactory(FAILURES_TO_OPEN, rest, [sound])
        self._breakers.add_listener(self._handle_breaker_event)

    async def call(self, work: Callable[[], T], *, repeatable: bool = True) -> T:
        """Do the work behind the dependency; raises Unavailable, or what the work raises.

        Only work that is `repeatable` is tried again: whether a failed call did its work is not known.
        """
        try:
            return await (self._call_with_retries(work) if repeatable else self._call_once(work))
        except OpenedState as opened:
            opened.with_traceback(None)  # one error for all calls: it would keep the frames of every one
            headers = {"retry-after": f"{self._open_s:.0f}"}
            raise Unavailable(503, f"{self.name} is unavailable: try again later", headers) from None
        except TimeoutError:
            raise Unavailable(504, f"{self.name} did not answer in time") from None
        except (DependencyError, ConnectionError):
            raise Unavailable(503, f"{self.name} failed") from None

    async def _call_with_retries(self, work: Callable[[], T]) -> T:
        try:
            return await self._call_once(work)
        except Exception as error:  # noqa: BLE001 - Tenacity raises it again where it decides so
            failed = [error]

        # Tenacity takes longer than all the rest of a call, so it only hears of those that failed.
        async def following() -> T:
            if failed:
                raise failed.pop()
            return await self._call_once(work)

        return await self._retrying(following)

    async def _call_once(self, work: Callable[[], T]) -> T:
        try:
            async with await self._breaker(), asyncio.timeout(self._timeout), point(self.name):
                done = work()
        except Exception as error:
            self.calls[_outcome(error)] += 1
            raise
        self.calls["ok"] += 1
        return done

    async def _breaker(self) -> AbstractAsyncContextManager[object]:
        return await self._breakers.get_breaker(self.name) if self._breaker_enabled else nullcontext()

    def _handle_breaker_event(self, _: str, __: str, event: Event) -> None:
        if isinstance(event, ContextChanged):
            self.open = event.state == "opened"


def _is_transient(error: BaseException) -> bool:
    """Return whether the next try may succeed: a request that was wrong stays wrong."""
    if isinstance(error, DependencyError):
        return error.status >= 500 or error.status == HTTPStatus.TOO_MANY_REQUESTS
    return isinstance(error, (TimeoutError, ConnectionError))


def _outcome(error: Exception) -> str:
    if isinstance(error, OpenedState):
        return "rejected"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "ok" if isinstance(error, ChaosError) else "error"
