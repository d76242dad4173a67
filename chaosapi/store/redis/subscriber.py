"""Subscribe to a channel, and also poll the store, so that a lost message does no harm."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from chaosapi.logger import get_logger
from chaosapi.store.redis.errors import CALL_TIMEOUT_S, SOCKET_TIMEOUT_S, UNAVAILABLE

_POLL_INTERVAL_S: Final = 1.0
_RECONNECT_DELAY_S: Final = 0.1

log = get_logger("chaosapi.store")


class Subscriber:
    """Listens and polls in two tasks: announcements must not wait for a slow poll.

    `poll` reads the store and raises an error of UNAVAILABLE if it is away; `handle_message` applies an announcement,
    and returns False if the store has to be read instead; `handle_failure` is called with each error.
    """

    def __init__(
        self,
        client: Redis,
        channel: str,
        poll: Callable[[], Awaitable[None]],
        handle_message: Callable[[str], bool],
        handle_failure: Callable[[BaseException], None],
    ) -> None:
        self._client = client
        self._channel = channel
        self._poll = poll
        self._handle_message = handle_message
        self._handle_failure = handle_failure
        self._stopping = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._connected = False
        self._receiving = False

    def start(self) -> None:
        """Start both tasks in the running event loop."""
        self._tasks = [asyncio.create_task(self._keep_listening()), asyncio.create_task(self._keep_polling())]

    async def stop(self) -> None:
        """Stop both tasks and wait for them."""
        self._stopping.set()
        if self._receiving:  # at other times redis-py may leak a connection that is being opened
            self._tasks[0].cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _stopped_within(self, seconds: float) -> bool:
        """Wait; return True as soon as `stop` is called, False after the time."""
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
            log.exception("subscribing to the store failed; retrying")

    async def _listen(self) -> None:
        async with self._client.pubsub() as inbox:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                await inbox.subscribe(self._channel)
                await inbox.get_message(timeout=SOCKET_TIMEOUT_S)  # the confirmation: from now on no message is missed
            self._connected = True
            up_to_date = False
            # A failed poll ends this loop too: a dead connection may raise no error here.
            while self._connected and not self._stopping.is_set():
                if not up_to_date:
                    await self._poll()
                up_to_date = await self._receive(inbox)

    async def _receive(self, inbox: PubSub) -> bool:
        """Handle the next announcement, if one comes in time; return False if the store has to be read."""
        self._receiving = True
        try:
            message = await inbox.get_message(ignore_subscribe_messages=True, timeout=_POLL_INTERVAL_S)
        finally:
            self._receiving = False
        return message is None or self._handle_message(message["data"])
