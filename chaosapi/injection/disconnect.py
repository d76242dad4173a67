"""Detect that the client of a held request disconnects."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from starlette.types import Message, Receive

_MAX_AHEAD: Final = 2**16
"""Bytes of the body after which no further message is read ahead."""
_LEAST: Final = _MAX_AHEAD // 4
"""Bytes that a message counts at least, so that tiny messages are few."""


class DisconnectWatcher:
    """Reads ahead in one held request, so that a disconnect is noticed while the app does not call `receive`.

    Reads at most 64 KiB and one message ahead (uvicorn: up to 256 KiB); the rest of a longer body waits for the app.
    `check` notices disconnects behind a longer body, and those that the server does not report.
    """

    def __init__(self, receive: Receive, lost: Callable[[], bool]) -> None:
        self.disconnected = False
        self._receive = receive
        self._lost = lost
        self._ahead: asyncio.Queue[Message] = asyncio.Queue()
        self._size_ahead = 0
        self._taken = asyncio.Event()
        self._reading: asyncio.Task[None] | None = None
        self._wakers: set[Callable[[], object]] = set()

    async def receive(self) -> Message:
        """Return the next message, as the server's own `receive` does."""
        self._start_reading()
        message = await self._ahead.get()
        if message["type"] == "http.disconnect":
            self._ahead.put_nowait(message)  # every later call returns it too
        self._size_ahead -= _size(message)
        self._taken.set()
        return message

    @contextmanager
    def watch(self, wake: Callable[[], object]) -> Iterator[None]:
        """Call `wake` if the client disconnects before the block ends."""
        self._start_reading()
        self._wakers.add(wake)
        try:
            yield
        finally:
            self._wakers.discard(wake)

    def check(self) -> None:
        """Check the connection for a disconnect; to be called periodically while a request is held."""
        if not self.disconnected and self._lost():
            self._notify_disconnect()

    def close(self) -> None:
        """Stop reading at the end of the request."""
        if self._reading:
            self._reading.cancel()
            self._reading = None  # a cancelled task has a traceback, which refers to this object

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
            self._ahead.put_nowait(message)
            if left:
                return
            self._size_ahead += _size(message)
            while self._size_ahead >= _MAX_AHEAD:
                self._taken.clear()
                await self._taken.wait()


def _size(message: Message) -> int:
    return max(_LEAST, len(message.get("body", b"")))
