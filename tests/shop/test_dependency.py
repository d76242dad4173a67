"""Time-outs, retries and the circuit breaker, without real waits."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chaosapi.calls import Calls, Observers, current_calls
from chaosapi.errors import NotFound
from chaosapi.injection.dependencies import DependencyError
from chaosapi.shop.dependency import FAILURES_TO_OPEN, Dependency, Unavailable
from chaosapi.world.world import ShopSettings


class Flaky:
    """Work that fails a number of times, and then succeeds."""

    def __init__(self, error: Exception, times: int) -> None:
        self.error = error
        self.times = times
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.times:
            raise self.error
        return "done"


class Pauses(list[float]):
    """Records sleeps instead of sleeping."""

    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


async def at_once(seconds: float) -> None:
    """Do not sleep."""


def depend(pauses: Callable[[float], Awaitable[None]] = at_once, rest: float = 60, **settings: Any) -> Dependency:
    """Return a dependency that never sleeps."""
    chosen = ShopSettings.model_validate(settings)
    return Dependency("db", lambda: chosen, rest, pauses)


TRANSIENT = [TimeoutError(), ConnectionResetError(), DependencyError("db", 503), DependencyError("db", 429)]


@pytest.mark.parametrize("error", TRANSIENT, ids=repr)
def test_transient_errors_are_retried_with_growing_jitter(error: Exception) -> None:
    """The back-off is up to 50 ms, then up to 100 ms."""
    pauses = Pauses()
    work = Flaky(error, 2)
    assert asyncio.run(depend(pauses).call(work)) == "done"
    assert work.calls == 3
    assert len(pauses) == 2
    assert 0 <= pauses[0] <= 0.05
    assert 0 <= pauses[1] <= 0.1


@pytest.mark.parametrize(
    ("error", "status", "detail"),
    [
        (TimeoutError(), 504, "db did not answer in time"),
        (ConnectionResetError(), 503, "db failed"),
        (DependencyError("db", 500), 503, "db failed"),
    ],
    ids=repr,
)
def test_after_the_last_retry_the_shop_is_unavailable(error: Exception, status: int, detail: str) -> None:
    """The setting limits the retries; the response names the failure."""
    dependency = depend(shop_retries=3)
    work = Flaky(error, 99)
    with pytest.raises(Unavailable, match=detail) as raised:
        asyncio.run(dependency.call(work))
    assert (raised.value.status_code, work.calls) == (status, 4)


def test_calls_that_are_not_idempotent_are_not_retried() -> None:
    """With retries off, no call is."""
    for dependency, repeatable in ((depend(), False), (depend(shop_retries=0), True)):
        work = Flaky(ConnectionResetError(), 1)
        with pytest.raises(Unavailable):
            asyncio.run(dependency.call(work, repeatable=repeatable))
        assert work.calls == 1


def test_client_errors_are_not_retried() -> None:
    """A retry would get the same response; the error does not open the breaker."""
    dependency = depend()

    async def story() -> None:
        for _ in range(2 * FAILURES_TO_OPEN):
            refused = Flaky(DependencyError("db", 404), 9)
            missing = Flaky(NotFound("no such thing"), 9)
            with pytest.raises(Unavailable):
                await dependency.call(refused)
            with pytest.raises(NotFound):
                await dependency.call(missing)
            assert (refused.calls, missing.calls) == (1, 1)

    asyncio.run(story())
    assert dependency.breaker == "closed"
    assert dependency.calls == {"ok": 10, "error": 10, "timeout": 0, "rejected": 0}


def test_a_success_between_failures_keeps_the_breaker_closed() -> None:
    """Only consecutive failures count."""
    dependency = depend(shop_retries=0)

    async def story() -> None:
        for _ in range(3):
            for _ in range(FAILURES_TO_OPEN - 1):
                with pytest.raises(Unavailable):
                    await dependency.call(Flaky(TimeoutError(), 1))
            await dependency.call(lambda: None)

    asyncio.run(story())
    assert dependency.breaker == "closed"
    assert dependency.calls == {"ok": 3, "error": 0, "timeout": 12, "rejected": 0}


def test_an_open_breaker_refuses_without_calling() -> None:
    """It does not retry; the response has Retry-After."""
    dependency = depend(shop_retries=0)
    unused = Flaky(TimeoutError(), 0)

    async def story() -> None:
        for _ in range(FAILURES_TO_OPEN):
            assert dependency.breaker == "closed"
            with pytest.raises(Unavailable):
                await dependency.call(Flaky(TimeoutError(), 1))
        assert dependency.breaker == "open"
        with pytest.raises(Unavailable, match="unavailable") as raised:
            await dependency.call(unused)
        assert (raised.value.status_code, raised.value.headers) == (503, {"retry-after": "60"})

    asyncio.run(story())
    assert unused.calls == 0
    assert dependency.calls == {"ok": 0, "error": 0, "timeout": FAILURES_TO_OPEN, "rejected": 1}


@pytest.mark.parametrize("well", [True, False])
def test_a_half_open_breaker_is_decided_by_the_next_call(well: bool) -> None:  # noqa: FBT001 - a parameter of the test
    """One success closes the breaker, one failure opens it again."""
    dependency = depend(shop_retries=0, rest=0.05)

    async def story() -> None:
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(Unavailable):
                await dependency.call(Flaky(TimeoutError(), 1))
        deciding = Flaky(TimeoutError(), 0 if well else 1)
        while not deciding.calls:
            try:
                await dependency.call(deciding)
            except Unavailable:
                await asyncio.sleep(0)
        assert (dependency.breaker == "closed") is well

    asyncio.run(story())


def test_without_the_breaker_every_call_is_made() -> None:
    """After any number of failures."""
    dependency = depend(shop_breaker=False, shop_retries=1)
    work = Flaky(TimeoutError(), 99)

    async def story() -> None:
        for _ in range(10):
            with pytest.raises(Unavailable):
                await dependency.call(work)

    asyncio.run(story())
    assert (work.calls, dependency.breaker, dependency.calls["rejected"]) == (20, "closed", 0)


def test_every_try_is_recorded_with_its_number_and_reason() -> None:
    """Each of two failed tries and the third, which succeeds."""
    calls = Calls(Observers(), float)

    async def story() -> None:
        current_calls.set(calls)
        await depend().call(Flaky(TimeoutError(), 2))

    asyncio.run(story())
    slow = "no answer within 1 s"
    assert [(done.number, done.outcome, done.error) for done in calls] == [
        (1, "timeout", slow),
        (2, "timeout", slow),
        (3, "ok", ""),
    ]


def test_a_missing_row_is_an_answer() -> None:
    """The dependency worked."""
    calls = Calls(Observers(), float)

    async def story() -> None:
        current_calls.set(calls)
        with pytest.raises(NotFound):
            await depend().call(Flaky(NotFound("no such thing"), 1))

    asyncio.run(story())
    assert [(done.outcome, done.error) for done in calls] == [("ok", "")]


def test_observers_see_the_states_of_the_breaker() -> None:
    """It opens after the last failure; once it has rested, the next call closes it. Calls until then are rejected."""
    states: list[tuple[str, str]] = []
    calls = Calls(Observers(breakers=[lambda name, state: states.append((name, state))]), float)
    dependency = depend(shop_retries=0, rest=0.05)

    async def story() -> None:
        current_calls.set(calls)
        for _ in range(FAILURES_TO_OPEN):
            with pytest.raises(Unavailable):
                await dependency.call(Flaky(ConnectionResetError("reset by peer"), 1))
        work = Flaky(TimeoutError(), 0)
        while not work.calls:
            try:
                await dependency.call(work)
            except Unavailable:
                await asyncio.sleep(0)

    asyncio.run(story())
    assert states == [("db", "open"), ("db", "half-open"), ("db", "closed")]
    assert calls[0].error == "reset by peer"
    rejected = [done.error for done in calls if done.outcome == "rejected"]
    assert set(rejected) <= {"the circuit breaker is open"}
