"""The record of a request's calls, apart from what calls."""

import asyncio
from itertools import count

import pytest

from chaosapi.calls import MAX_TRIES, Calls, Observers, Try, Wait, current_calls, outcome_of, reason_of
from chaosapi.injection.dependencies import point


class ReadTimeout(Exception):  # noqa: N818 - named as in HTTP clients
    """A time-out as HTTP clients have it."""


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (None, "ok"),
        (ValueError("bad"), "error"),
        (ConnectionResetError(), "error"),
        (TimeoutError(), "timeout"),
        (asyncio.CancelledError(), "timeout"),
        (ReadTimeout(), "timeout"),
    ],
    ids=repr,
)
def test_a_call_ends_as_its_error_says(error: BaseException | None, outcome: str) -> None:
    assert outcome_of(error) == outcome


def test_a_reason_is_one_short_line() -> None:
    assert reason_of(ValueError("first\nsecond")) == "first second"
    assert reason_of(TimeoutError()) == "TimeoutError"
    assert len(reason_of(ValueError("x" * 10_000))) == 200


def test_a_call_after_a_failed_one_is_its_retry() -> None:
    calls = Calls(Observers(), float)
    for outcome in ("ok", "error", "timeout"):
        calls.record(Try("db", calls.next_number("db"), outcome, 0, 0))
        calls.record(Try("payments", calls.next_number("payments"), "ok", 0, 0))
    assert [done.number for done in calls if done.dependency == "db"] == [1, 1, 2]
    assert calls.next_number("db") == 3
    assert calls.next_number("payments") == 1


def test_the_record_is_bounded_and_observers_see_all() -> None:
    seen: list[Try] = []
    calls = Calls(Observers(tries=[seen.append]), float)
    for number in range(MAX_TRIES + 5):
        calls.record(Try("db", 1, "ok", number, 0))
    assert (len(calls), len(seen)) == (MAX_TRIES, MAX_TRIES + 5)


def test_observers_of_failures_see_those_alone() -> None:
    """So a successful call, which most are, calls fewer functions."""
    seen: list[Try] = []
    calls = Calls(Observers().and_those(Observers(failures=[seen.append])), float)
    calls.record(Try("db", 1, "ok", 0, 0))
    calls.record(Try("db", 1, "timeout", 0, 0, "no answer within 1 s"))
    assert seen == calls[1:]


def test_only_the_wait_in_front_of_the_service_is_the_request_s() -> None:
    """A wait in a pool is part of the try that waits."""
    seen: list[Wait] = []
    calls = Calls(Observers(waits=[seen.append]), float)
    for wait in (Wait("/a", "", True, 0, 2), Wait("/a", "db", True, 0, 3)):
        calls.record_wait(wait)
    assert (calls.waited_s, len(seen)) == (2, 2)


def test_a_point_records_what_happened_in_its_block() -> None:
    """The clock of the record advances by one second with each look."""
    ticks = count()
    calls = Calls(Observers(), lambda: float(next(ticks)))

    async def story() -> None:
        current_calls.set(calls)
        async with point("db"):
            pass
        with pytest.raises(ValueError, match="bad"):
            async with point("db"):
                raise ValueError("bad")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0), point("db"):
                await asyncio.sleep(60)

    asyncio.run(story())
    assert calls == [
        Try("db", 1, "ok", 0, 1),
        Try("db", 1, "error", 2, 1, "bad"),
        Try("db", 2, "timeout", 4, 1, "CancelledError"),
    ]


def test_a_point_in_a_thread_records_too() -> None:
    calls = Calls(Observers(), float)

    def handler() -> None:
        with point("db"):
            pass

    async def story() -> None:
        current_calls.set(calls)
        await asyncio.to_thread(handler)

    asyncio.run(story())
    assert [(done.dependency, done.outcome) for done in calls] == [("db", "ok")]
