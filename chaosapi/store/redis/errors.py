"""Time-outs of Redis calls, and the translation of their errors."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from redis.exceptions import RedisError

from chaosapi.errors import StoreUnavailable, StoreUnreadable
from chaosapi.store.codec import UNREADABLE

CALL_TIMEOUT_S: Final = 2.0
"""For a whole call, retries included."""
SOCKET_TIMEOUT_S: Final = 0.9
"""For one answer."""
_REDIS_ERRORS: Final = (RedisError, OSError, TimeoutError, UnicodeDecodeError, RuntimeError)
UNAVAILABLE: Final = (*_REDIS_ERRORS, StoreUnavailable)
"""The errors of a store that cannot be used now; uvloop raises RuntimeError for a connection that was just closed."""


@asynccontextmanager
async def translate_errors(
    hint: str = "", on_error: Callable[[StoreUnavailable], None] = lambda _: None
) -> AsyncIterator[None]:
    """Limit the time of the block's Redis calls; raises StoreUnavailable, with the hint, for each of their errors.

    If a key of ours holds foreign data, the error is StoreUnreadable. `on_error` is called with either.

    A task that is cancelled in the block stays cancelled after it: redis-py sends within `asyncio.wait_for`, which may
    lose a cancellation in Python 3.11 (github.com/python/cpython/issues/86296).
    """
    task = asyncio.current_task()
    before = task.cancelling() if task else 0
    try:
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                yield
        except _REDIS_ERRORS as error:
            raise _translate(error, hint) from error
    except StoreUnavailable as error:
        on_error(error)
        raise
    finally:
        if task and task.cancelling() > before:
            raise asyncio.CancelledError


def _translate(error: BaseException, hint: str) -> StoreUnavailable:
    if is_unreadable(error):
        return StoreUnreadable(f"{UNREADABLE}: {error}")
    why = f"did not answer within {CALL_TIMEOUT_S:g} s" if isinstance(error, TimeoutError) else f"says: {error}"
    return StoreUnavailable("; ".join(filter(None, (f"the store {why}", hint))))


def is_unreadable(error: object) -> bool:
    """Return whether an error of Redis means that a key holds another type, or no UTF-8 text."""
    return isinstance(error, UnicodeDecodeError) or (isinstance(error, RedisError) and "WRONGTYPE" in str(error))
