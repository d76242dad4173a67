"""Follows a channel, and looks at the store on a slow beat too, so that a lost message heals."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from chaosapi.logger import get_logger
from chaosapi.store.redis.errors import AWAY, PATIENCE, TIMEOUT

_BEAT: Final = 1.0
"""Seconds between two looks at the store, whatever was announced."""
_PAUSE: Final = 0.1
"""Seconds before a channel that was lost is followed again."""

log = get_logger("chaosapi.store")


class Subscriber:
    """Listens and looks at the same time: a look takes a while, in which an announcement would have to wait.

    `look` reads the store and raises what means that it is away; `heard` takes over what was announced, and returns
    False where the store has to be read instead; `lost` is told what went wrong.
    """

    def __init__(
        self,
        client: Redis,
        channel: str,
        look: Callable[[], Awaitable[None]],
        heard: Callable[[str], bool],
        lost: Callable[[BaseException], None],
    ) -> None:
        self._client, self._channel = client, channel
        self._look, self._heard, self._lost = look, heard, lost
        self._over = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._reached = self._idle = False

    def start(self) -> None:
        """Begin; in the event loop that is to do it."""
        self._tasks = [asyncio.create_task(self._keep_listening()), asyncio.create_task(self._keep_looking())]

    async def stop(self) -> None:
        """End, and wait for the end."""
        self._over.set()
        if self._idle:  # at any other time redis-py may lose a connection that is being made
            self._tasks[0].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _ended(self, seconds: float) -> bool:
        """Wait so long; return True at once when it is over."""
        try:
            async with asyncio.timeout(seconds):
                return await self._over.wait()
        except TimeoutError:
            return False

    async def _keep_looking(self) -> None:
        while not await self._ended(_BEAT):
            await self._tried(self._look)

    async def _keep_listening(self) -> None:
        while not self._over.is_set():
            await self._tried(self._listen)
            await self._ended(_PAUSE)

    async def _tried(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except AWAY as error:
            self._reached = False
            self._lost(error)
        except Exception:
            self._reached = False
            log.exception("the store cannot be followed; trying again")

    async def _listen(self) -> None:
        async with self._client.pubsub() as inbox:
            async with asyncio.timeout(PATIENCE):
                await inbox.subscribe(self._channel)
                await inbox.get_message(timeout=TIMEOUT)  # the confirmation: from here on no message is missed
            self._reached, followed = True, False
            # A look that fails ends it too: the connection may be dead and not know it.
            while self._reached and not self._over.is_set():
                if not followed:
                    await self._look()
                followed = await self._next(inbox)

    async def _next(self, inbox: PubSub) -> bool:
        """Hear the next announcement, or none for a while; False where it could not be followed."""
        self._idle = True
        try:
            message = await inbox.get_message(ignore_subscribe_messages=True, timeout=_BEAT)
        finally:
            self._idle = False
        return message is None or self._heard(message["data"])
