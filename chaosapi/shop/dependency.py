"""The shop's client for a dependency, with a time-out, retries and a circuit breaker."""

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
"""The outcomes of a call; a rejected call was not made, because the breaker was open."""

FAILURES_TO_OPEN = 5
"""How many failures in a row open the breaker."""

OPEN_S = 5.0
"""How long the breaker stays open; then the next calls close it or open it again."""

T = TypeVar("T")


class Unavailable(HTTPException):
    """A dependency failed or timed out, so the shop cannot answer."""


class Dependency:
    """One dependency of the shop, named like its point.

    Retries back off exponentially from 50 ms with full jitter, so that clients that failed together do not retry
    together.
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
        """The number of calls, each retry included, by outcome."""
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
        """Call the dependency to do `work` and return the result; raises Unavailable, or what `work` raises.

        Only `repeatable` work is retried, because a failed call may have done its work.
        """
        try:
            return await (self._call_with_retries(work) if repeatable else self._call_once(work))
        except OpenedState as opened:
            opened.with_traceback(None)  # purgatory raises the same error for all calls: it would keep all their frames
            headers = {"retry-after": f"{self._open_s:.0f}"}
            raise Unavailable(503, f"{self.name} is unavailable: try again later", headers) from None
        except TimeoutError:
            raise Unavailable(504, f"{self.name} did not answer in time") from None
        except (DependencyError, ConnectionError):
            raise Unavailable(503, f"{self.name} failed") from None

    async def _call_with_retries(self, work: Callable[[], T]) -> T:
        try:
            return await self._call_once(work)
        except Exception as error:  # noqa: BLE001 - Tenacity decides whether to retry or raise it
            failed = [error]

        # Tenacity takes longer than the rest of a call, so only failed calls go through it.
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
    """Return whether a retry may succeed: an invalid request stays invalid."""
    if isinstance(error, DependencyError):
        return error.status >= 500 or error.status == HTTPStatus.TOO_MANY_REQUESTS
    return isinstance(error, (TimeoutError, ConnectionError))


def _outcome(error: Exception) -> str:
    if isinstance(error, OpenedState):
        return "rejected"
    if isinstance(error, TimeoutError):
        return "timeout"
    return "ok" if isinstance(error, ChaosError) else "error"
