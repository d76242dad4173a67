import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from chaosapi.errors import StoreUnavailable
from chaosapi.store.redis.errors import translate_errors
from tests.patience import patience


async def loses_it() -> None:
    """Wait, and swallow a cancellation, as asyncio.wait_for may in Python 3.11."""
    with suppress(asyncio.CancelledError):
        await asyncio.Event().wait()


async def fails_instead() -> None:
    """Fail when cancelled, as a connection that is closed meanwhile does."""
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        raise ConnectionError("closed") from None


@pytest.mark.parametrize("ask", [loses_it, fails_instead])
def test_a_swallowed_cancellation_still_ends_the_task(ask: Callable[[], Awaitable[None]]) -> None:
    """A repeating task, such as the heartbeat, could not be stopped otherwise, and the service would not end."""

    async def play() -> None:
        asked = asyncio.Event()

        async def again_and_again() -> None:
            while True:
                asked.set()
                try:
                    async with translate_errors():
                        await ask()
                except StoreUnavailable:
                    continue

        task = asyncio.create_task(again_and_again())
        await asked.wait()
        task.cancel()
        done, _ = await asyncio.wait([task], timeout=patience(10))
        assert done
        assert task.cancelled()

    asyncio.run(play())


def test_a_time_out_is_a_time_out_and_no_cancellation() -> None:
    """A shorter time-out raises TimeoutError, also if the call swallows the cancellation."""

    async def play() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), translate_errors():
                await loses_it()
        task = asyncio.current_task()
        assert task
        assert task.cancelling() == 0

    asyncio.run(play())
