"""How long Redis may take, and what may go wrong with it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from redis.exceptions import RedisError

from chaosapi.errors import StoreUnavailable, StoreUnreadable
from chaosapi.store.codec import UNREADABLE

CALL_TIMEOUT_S: Final = 2.0
"""Seconds that a call may take, all retries included."""
SOCKET_TIMEOUT_S: Final = 0.9
"""Seconds for one answer."""
_REDIS_ERRORS: Final = (RedisError, OSError, TimeoutError, UnicodeDecodeError, RuntimeError)
UNAVAILABLE: Final = (*_REDIS_ERRORS, StoreUnavailable)
"""What means that the store cannot be used now; RuntimeError is uvloop's word for a connection that was just closed."""


@asynccontextmanager
async def translate_errors(
    hint: str = "", refused: Callable[[StoreUnavailable], None] = lambda _: None
) -> AsyncIterator[None]:
    """Bound the time of whatever asks Redis; raises StoreUnavailable, with the hint, for all that may go wrong.

    Where a key of ours holds something that we do not put there, it is a StoreUnreadable. `refused` is told either.

    A task that is cancelled in the block is cancelled after it: redis-py sends within `asyncio.wait_for`, which may
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
        refused(error)
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
    """Tell whether what Redis says means that a key is not ours, or no text."""
    return isinstance(error, UnicodeDecodeError) or (isinstance(error, RedisError) and "WRONGTYPE" in str(error))
