"""A fast HTTP client that sends any bytes, valid or not, and returns every response."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Final, cast

import httptools

LOST: Final = 0
"""The status of a response that is not HTTP."""


@dataclass(slots=True)
class Answer:
    """One HTTP response; header names are lower case."""

    status: int = LOST
    headers: dict[bytes, bytes] = field(default_factory=dict)
    body: bytes = b""


class Connection(asyncio.Protocol):
    """One connection: the responses since the last exchange began, and whether the peer has closed it."""

    def __init__(self) -> None:
        self.answers: list[Answer] = []
        self.closed = False
        self.broken = ""
        """Why the peer's bytes are not HTTP; empty if they are."""
        self.received = 0
        self._wanted = 0
        self._turn: asyncio.Future[None] | None = None
        self._open(Answer())

    def _open(self, answer: Answer) -> None:
        self._answer = answer
        self._parts: list[bytes] = []
        self._parser = httptools.HttpResponseParser(self)

    @property
    def begun(self) -> int:
        """Return the status of the incomplete response; 0 without one."""
        return self._answer.status

    @classmethod
    async def open(cls, host: str, port: int) -> "Connection":
        """Connect; raises OSError if the port is closed."""
        _, connection = await asyncio.get_running_loop().create_connection(cls, host, port)
        return connection

    async def exchange(self, data: bytes, wanted: int, patience: float) -> list[Answer]:
        """Send the bytes; return the responses once there are `wanted`, the peer has closed, or after the time-out."""
        self.send(data)
        return await self.wait(wanted, patience)

    def send(self, data: bytes) -> None:
        """Send the bytes; drop the responses to earlier bytes."""
        self.answers = []
        if not self.closed:
            self.transport.write(data)

    async def wait(self, wanted: int, patience: float) -> list[Answer]:
        """Return the responses since the last bytes were sent."""
        if len(self.answers) < wanted and not self.closed:
            loop = asyncio.get_running_loop()
            self._wanted = wanted
            self._turn = loop.create_future()
            timer = loop.call_later(patience, self._wake)
            try:
                await self._turn
            finally:
                timer.cancel()
                self._turn = None
        return self.answers

    def pause(self, *, paused: bool) -> None:
        """Pause or resume reading."""
        if not self.closed:
            self.transport.pause_reading() if paused else self.transport.resume_reading()

    def close(self, *, reset: bool = False) -> None:
        """Close the connection, or reset it."""
        if not self.closed:
            self.transport.abort() if reset else self.transport.close()
            self.closed = True

    def _wake(self) -> None:
        if self._turn and not self._turn.done():
            self._turn.set_result(None)

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Parse the received bytes."""
        self.received += len(data)
        if self.broken:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self.broken = "the peer switched protocols"
        except httptools.HttpParserError as error:
            self.broken = f"{type(error).__name__}: {error}: {data[:200]!r}"
        if self.broken:
            self.close()
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Note the disconnect; it ends a body without a length."""
        self.closed = True
        if self._answer.status and b"content-length" not in self._answer.headers and not self.broken:
            with suppress(httptools.HttpParserError):
                self.on_message_complete()
        self._wake()

    # What the parser calls.

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a header."""
        self._answer.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        """Note the status."""
        self._answer.status = self._parser.get_status_code()

    def on_body(self, body: bytes) -> None:
        """Keep a part of the body."""
        self._parts.append(body)

    def on_message_complete(self) -> None:
        """Add the response to the list, unless it is an interim response (1xx)."""
        answer = self._answer
        answer.body = b"".join(self._parts)
        self._answer = Answer()
        self._parts = []
        if answer.status >= 200:
            self.answers.append(answer)
            if len(self.answers) >= self._wanted:
                self._wake()
