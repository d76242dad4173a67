"""How long Redis may take, and what may go wrong with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from pydantic import ValidationError
from redis.exceptions import RedisError

from chaosapi.errors import StoreUnavailable

PATIENCE: Final = 2.0
"""Seconds that a call may take, all retries included."""
TIMEOUT: Final = 0.9
"""Seconds for one answer."""
AWAY: Final = (RedisError, OSError, TimeoutError, ValidationError, RuntimeError)
"""What means that the store cannot be used now; RuntimeError is uvloop's word for a connection that was just closed."""


@asynccontextmanager
async def reaching(hint: str = "") -> AsyncIterator[None]:
    """Bound the time of whatever asks Redis; raises StoreUnavailable, with the hint, for all that may go wrong."""
    try:
        async with asyncio.timeout(PATIENCE):
            yield
    except AWAY as error:
        why = f"did not answer within {PATIENCE:g} s" if isinstance(error, TimeoutError) else f"says: {error}"
        raise StoreUnavailable("; ".join(filter(None, (f"the store {why}", hint)))) from error
