"""The rate, with a clock that only waits advance; the real server is in test_catalogue."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Message, Scope

from chaosapi.effects import RequestEffect
from chaosapi.effects.base import Occupancy
from chaosapi.effects.throttle import Throttle


class Unmetered:
    """Meters nothing."""

    def join(self) -> None: ...

    def admit(self) -> None: ...

    def leave(self, *, admitted: bool) -> None: ...


class Tools:
    """Tools with a clock that only sleeps advance."""

    draw = 0.0
    magnitude = 1.0
    arrived = 0.0
    time = 0.0
    memory = None
    can_drop = True
    occupancy: Occupancy = Unmetered()

    def now(self) -> float:
        return self.time

    async def sleep(self, planned: float, since: float | None = None) -> None:
        self.time = max(self.time, (self.time if since is None else since) + planned)

    async def give_way(self) -> None:
        pass

    def acting(self) -> bool:
        return True

    def over(self) -> bool:
        return False

    def drop(self, *, reset: bool) -> None: ...

    def hold(self) -> bool:
        return True

    def release(self) -> None: ...

    def problem_detail(self, status: int) -> str | None:
        return None

    def instead(self, effect: RequestEffect) -> ASGIApp:
        raise NotImplementedError

    async def until(self, turn: asyncio.Future[None], seconds: float) -> None:
        self.time += seconds

    def disconnected(self) -> bool:
        return False

    def record_delay(self, planned: float, measured: float) -> None: ...

    def record_wait(self, since: float, seconds: float, *, admitted: bool, rejected: bool) -> None: ...

    def count_injected(self) -> None: ...

    def count_skipped(self, reason: str) -> None: ...

    async def wait(self, planned: float, since: float | None = None) -> None:
        await self.sleep(planned, since)


async def stream() -> AsyncIterator[bytes]:
    """Yield 3,000 bytes in three parts."""
    for letter in (b"a", b"b", b"c"):
        yield letter * 1000


async def receive() -> Message:
    """Never return: the client stays connected."""
    await asyncio.Event().wait()
    return {}


@pytest.mark.parametrize("streamed", [False, True])
def test_the_body_takes_its_length_divided_by_the_rate(streamed: bool) -> None:  # noqa: FBT001 - a table
    """3,000 bytes at 1,000 per second take three seconds, in steps of 0.1 s; headers come at once; nothing is lost."""
    app = StreamingResponse(stream()) if streamed else Response(b"a" * 1000 + b"b" * 1000 + b"c" * 1000)
    tools = Tools()
    sent = list[tuple[float, Message]]()

    async def send(message: Message) -> None:
        sent.append((round(tools.time, 6), message))

    scope: Scope = {"type": "http", "method": "GET", "headers": [], "asgi": {"spec_version": "2.4"}}
    asyncio.run(Throttle(bytes_per_second=1000).inject(app, scope, receive, send, tools))
    assert (sent[0][0], sent[0][1]["type"]) == (0, "http.response.start")
    bodies = [(time, message) for time, message in sent if message.get("body")]
    assert b"".join(message["body"] for _, message in bodies) == b"a" * 1000 + b"b" * 1000 + b"c" * 1000
    assert [time for time, _ in bodies] == [round(0.1 * tenth, 6) for tenth in range(1, 31)]
    assert [message.get("more_body", False) for _, message in sent[1:]].count(False) == 1
    assert not sent[-1][1].get("more_body", False)


def test_the_rest_is_sent_at_once_after_the_faults_end() -> None:
    """A million bytes at one per second are not sent in a million calls, which would block the event loop."""
    tools = Tools()
    sent = list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)

    async def ended(planned: float, since: float | None = None) -> None:
        tools.acting = lambda: False  # type: ignore[method-assign]

    tools.sleep = ended  # type: ignore[method-assign]
    scope: Scope = {"type": "http", "method": "GET", "headers": []}
    asyncio.run(Throttle(bytes_per_second=1).inject(Response(b"a" * 1_000_000), scope, receive, send, tools))
    assert [len(message.get("body", b"")) for message in sent] == [0, 1_000_000]
