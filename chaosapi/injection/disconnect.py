"""Whether the client is still there."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.types import Message, Receive

_AHEAD = 4


class DisconnectWatcher:
    """The client's side of one held request: reads ahead, so that leaving is noticed while nobody else listens.

    Reads at most four messages ahead (uvicorn: 64 KiB each); a longer body waits for the app. That its sender has left
    is noticed by `look`, as is every loss that the server does not report.
    """

    def __init__(self, receive: Receive, lost: Callable[[], bool]) -> None:
        self.disconnected = False
        self._receive = receive
        self._lost = lost
        self._ahead: asyncio.Queue[Message] = asyncio.Queue(_AHEAD)
        self._reading: asyncio.Task[None] | None = None
        self._wakers: set[Callable[[], object]] = set()

    async def receive(self) -> Message:
        """Return the next message, as the server's own `receive` does."""
        self._start_reading()
        message = await self._ahead.get()
        if message["type"] == "http.disconnect":
            self._ahead.put_nowait(message)  # it stays true
        return message

    @contextmanager
    def watch(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call `wake` if the client leaves before the block ends."""
        self._start_reading()
        self._wakers.add(wake)
        try:
            yield
        finally:
            self._wakers.discard(wake)

    def check(self) -> None:
        """Ask the connection whether the client has left; to be called every now and then while a request is held."""
        if not self.disconnected and self._lost():
            self._notify_disconnect()

    def close(self) -> None:
        """Stop reading; the request is over."""
        if self._reading:
            self._reading.cancel()

    def _start_reading(self) -> None:
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())

    def _notify_disconnect(self) -> None:
        self.disconnected = True
        for wake in tuple(self._wakers):
            wake()

    async def _read(self) -> None:
        while True:
            message = await self._receive()
            left = message["type"] == "http.disconnect"
            if left:
                self._notify_disconnect()
            await self._ahead.put(message)
            if left:
                return
