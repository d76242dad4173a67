"""Follows a channel, and looks at the store on a slow beat too, so that a lost message heals."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from chaosapi.logger import get_logger
from chaosapi.store.redis.errors import CALL_TIMEOUT_S, SOCKET_TIMEOUT_S, UNAVAILABLE

_POLL_INTERVAL_S: Final = 1.0
"""Seconds between two looks at the store, whatever was announced."""
_RECONNECT_DELAY_S: Final = 0.1
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
        self._poll, self._handle_message, self._handle_failure = look, heard, lost
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = self._receiving = False

    def start(self) -> None:
        """Begin; in the event loop that is to do it."""
        self._tasks = [asyncio.create_task(self._keep_listening()), asyncio.create_task(self._keep_polling())]

    async def stop(self) -> None:
        """End, and wait for the end."""
        self._stopping.set()
        if self._receiving:  # at any other time redis-py may lose a connection that is being made
            self._tasks[0].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait so long; return True at once when it is over."""
        try:
            async with asyncio.timeout(seconds):
                return await self._stopping.wait()
        except TimeoutError:
            return False

    async def _keep_polling(self) -> None:
        while not await self._stopped_within(_POLL_INTERVAL_S):
            await self._attempt(self._poll)

    async def _keep_listening(self) -> None:
        while not self._stopping.is_set():
            await self._attempt(self._listen)
            await self._stopped_within(_RECONNECT_DELAY_S)

    async def _attempt(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except UNAVAILABLE as error:
            self._connected = False
            self._handle_failure(error)
        except Exception:
            self._connected = False
            log.exception("the store cannot be followed; trying again")

    async def _listen(self) -> None:
        async with self._client.pubsub() as inbox:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await inbox.subscribe(self._channel)
                await inbox.get_message(timeout=SOCKET_TIMEOUT_S)  # the confirmation: from here on no message is missed
            self._connected, followed = True, False
            # A look that fails ends it too: the connection may be dead and not know it.
            while self._connected and not self._stopping.is_set():
                if not followed:
                    await self._poll()
                followed = await self._receive(inbox)

    async def _receive(self, inbox: PubSub) -> bool:
        """Hear the next announcement, or none for a while; False where it could not be followed."""
        self._receiving = True
        try:
            message = await inbox.get_message(ignore_subscribe_messages=True, timeout=_POLL_INTERVAL_S)
        finally:
            self._receiving = False
        return message is None or self._handle_message(message["data"])
