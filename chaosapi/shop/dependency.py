"""The shop's client for a dependency, with a time-out, retries and a circuit breaker."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from http import HTTPStatus
from itertools import count
from typing import Final, TypeVar

from purgatory import AsyncCircuitBreakerFactory, ContextChanged, Event
from purgatory.domain.model import OpenedState
from starlette.exceptions import HTTPException
from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from chaosapi.calls import OUTCOMES, Try, current_calls, outcome_of, reason_of
from chaosapi.errors import ChaosError
from chaosapi.injection.dependencies import DependencyError, faults_at
from chaosapi.shop import failures
from chaosapi.world.world import ShopSettings

BREAKER_STATES: Final = {"closed": "closed", "opened": "open", "half-opened": "half-open"}
"""The states of a breaker by purgatory's names for them; half-open, the next call closes it or opens it again."""

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
    together. `settings` are read at each try, because operators change them.
    """

    def __init__(
        self,
        name: str,
        settings: Callable[[], ShopSettings],
        rest: float = OPEN_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.name = name
        self.breaker = "closed"
        """The state of the breaker, one of BREAKER_STATES."""
        self.calls = Counter(dict.fromkeys(OUTCOMES, 0))
        """The number of calls, each retry included, by outcome."""
        self._settings = settings
        self._open_s = rest
        self._sleep = sleep
        self._retrying = AsyncRetrying(
            sleep=sleep,
            stop=lambda made: made.attempt_number > settings().shop_retries,
            wait=wait_random_exponential(multiplier=0.05, max=1),
            retry=retry_if_exception(_is_transient),
            reraise=True,
        )
        self._breakers = self._closed_breakers()

    async def call(self, work: Callable[[], T], *, repeatable: bool = True, takes_s: float = 0.0) -> T:
        """Call the dependency to do `work`, which takes this time, and return the result.

        Raises Unavailable, or what `work` raises. Only `repeatable` work is retried, because a failed call may have
        done its work.
        """

        async def once(number: int) -> T:
            return await self._call_once(work, number, takes_s)

        try:
            return await (self._call_with_retries(once) if repeatable else once(1))
        except OpenedState as opened:
            opened.with_traceback(None)  # purgatory raises the same error for all calls: it would keep all their frames
            headers = {"retry-after": f"{self._open_s:.0f}"}
            raise Unavailable(503, f"{self.name} is unavailable: try again later", headers) from None
        except TimeoutError:
            raise Unavailable(504, failures.late(self.name)) from None
        except (DependencyError, ConnectionError):
            raise Unavailable(503, failures.failed(self.name)) from None

    async def _call_with_retries(self, once: Callable[[int], Awaitable[T]]) -> T:
        try:
            return await once(1)
        except Exception as error:  # noqa: BLE001 - Tenacity decides whether to retry or raise it
            failed = [error]
        numbers = count(2)

        # Tenacity takes longer than the rest of a call, so only failed calls go through it.
        async def following() -> T:
            if failed:
                raise failed.pop()
            return await once(next(numbers))

        return await self._retrying(following)

    async def _call_once(self, work: Callable[[], T], number: int, takes_s: float) -> T:
        settings = self._settings()
        calls = current_calls.get()
        started = 0.0 if calls is None else calls.clock()
        try:
            breaker = await self._breaker(enabled=settings.shop_breaker)
            async with breaker, asyncio.timeout(settings.shop_timeout), faults_at(self.name):
                if takes_s:
                    await self._sleep(takes_s)
                done = work()
        except Exception as error:
            outcome = _outcome(error)
            self.calls[outcome] += 1
            if calls is not None:
                reason = "" if outcome == "ok" else _reason(outcome, error, settings.shop_timeout)
                calls.record(Try(self.name, number, outcome, started, calls.clock() - started, reason))
            raise
        self.calls["ok"] += 1
        if calls is not None:
            calls.record(Try(self.name, number, "ok", started, calls.clock() - started))
        return done

    def _closed_breakers(self) -> AsyncCircuitBreakerFactory:
        sound = (BaseException, lambda error: not _is_transient(error))
        breakers = AsyncCircuitBreakerFactory(FAILURES_TO_OPEN, self._open_s, [sound])
        breakers.add_listener(self._handle_breaker_event)
        return breakers

    async def _breaker(self, *, enabled: bool) -> AbstractAsyncContextManager[object]:
        if enabled:
            return await self._breakers.get_breaker(self.name)
        if self.breaker != "closed":  # it was switched off while it was open
            self.breaker = "closed"
            self._breakers = self._closed_breakers()
        return nullcontext()

    def _handle_breaker_event(self, _: str, __: str, event: Event) -> None:
        if not isinstance(event, ContextChanged):
            return
        self.breaker = BREAKER_STATES[event.state]
        calls = current_calls.get()
        if calls is not None:
            calls.record_breaker(self.name, self.breaker)


def _is_transient(error: BaseException) -> bool:
    """Return whether a retry may succeed: an invalid request stays invalid."""
    if isinstance(error, DependencyError):
        return error.status >= 500 or error.status == HTTPStatus.TOO_MANY_REQUESTS
    return isinstance(error, (TimeoutError, ConnectionError))


def _reason(outcome: str, error: Exception, timeout_s: float) -> str:
    if outcome == "rejected":
        return "the circuit breaker is open"
    if outcome == "timeout":
        return f"no answer within {timeout_s:g} s"
    return reason_of(error)


def _outcome(error: Exception) -> str:
    if isinstance(error, OpenedState):
        return "rejected"
    return "ok" if isinstance(error, ChaosError) else outcome_of(error)
