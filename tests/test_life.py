"""Driven as a server drives it, without one: the protocol is all there is."""

import asyncio
from collections.abc import Callable

import pytest
from starlette.types import Message, Receive, Scope, Send

from chaosapi.life import Life


class Story:
    """What happened, in order; makes the parts that tell it."""

    def __init__(self) -> None:
        self.told: list[str] = []

    async def job(self) -> None:
        self.told.append("job")
        try:
            await asyncio.Event().wait()
        finally:
            self.told.append("job ended")

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            self.told.append("request")
            return
        for event in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{event}"
            self.told.append(f"app {event}")
            await send({"type": f"lifespan.{event}.complete"})

    def tell(self, what: str) -> Callable[[], None]:
        return lambda: self.told.append(what)


async def receive() -> Message:
    """Have nothing more to say."""
    return await asyncio.Event().wait()  # type: ignore[return-value]


async def lifespan(life: Life) -> list[Message]:
    """Start and stop, with time for the jobs in between; return what the server is told."""
    events, sent = asyncio.Queue[Message](), list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)
        await asyncio.sleep(0)  # the jobs get their turn

    for event in ("startup", "shutdown"):
        events.put_nowait({"type": f"lifespan.{event}"})
    await life({"type": "lifespan"}, events.get, send)
    return sent


def test_jobs_live_as_long_as_the_app() -> None:
    """Started before the app, stopped after it; what stops may wait and so has a thread."""
    story = Story()
    life = Life(story.app, [story.job], story.tell("start"), story.tell("stop"))
    sent = asyncio.run(lifespan(life))
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert story.told[:3] == ["start", "app startup", "job"]
    assert sorted(story.told[3:]) == ["app shutdown", "job ended", "stop"]


def test_what_cannot_start_stops_the_server_and_says_why() -> None:
    """A port that is taken, say; the app is not even asked."""
    story = Story()

    def start() -> None:
        raise OSError("CHAOSAPI_ADMIN_PORT: taken")

    sent = asyncio.run(lifespan(Life(story.app, [story.job], start, story.tell("stop"))))
    assert sent == [{"type": "lifespan.startup.failed", "message": "CHAOSAPI_ADMIN_PORT: taken"}]
    assert story.told == []


def test_without_lifespan_events_it_starts_with_the_first_request() -> None:
    """And only with the first."""
    story = Story()
    life = Life(story.app, [story.job], story.tell("start"))

    async def serve() -> None:
        for _ in range(2):
            await life({"type": "http"}, receive, _drop)
            await asyncio.sleep(0)

    asyncio.run(serve())
    assert story.told == ["start", "request", "job", "request", "job ended"]


@pytest.mark.parametrize("refuses", [True, False])
def test_an_app_that_knows_no_lifespan_is_started_and_stopped_all_the_same(refuses: bool) -> None:  # noqa: FBT001 - a table
    """Whether it raises or says nothing: what runs beside it starts and stops with the server."""
    story = Story()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if refuses:
            raise NotImplementedError

    sent = asyncio.run(lifespan(Life(app, [story.job], story.tell("start"), story.tell("stop"))))
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert story.told[:2] == ["start", "job"]
    assert sorted(story.told[2:]) == ["job ended", "stop"]


async def _drop(message: Message) -> None:
    """Take what is sent."""
