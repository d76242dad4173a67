"""The lifespan protocol, driven without a server."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import chaosapi
from chaosapi.runtime.lifespan import Hooks, LifespanMiddleware
from chaosapi.settings import Settings
from tests.patience import patience


class Story:
    """A log of events in order, and the parts that write to it."""

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

    def tell(self, what: str) -> Callable[[], Awaitable[None]]:
        async def part() -> None:
            await asyncio.sleep(0)
            self.told.append(what)

        return part


async def receive() -> Message:
    """Wait for ever."""
    return await asyncio.Event().wait()  # type: ignore[return-value]


async def lifespan(life: ASGIApp) -> list[Message]:
    """Start and stop, and let the jobs run in between; return the messages to the server."""
    events = asyncio.Queue[Message]()
    sent = list[Message]()

    async def send(message: Message) -> None:
        sent.append(message)
        if message["type"] == "lifespan.shutdown.complete":
            living.cancel()  # a server ends its event loop now, whatever still runs in it
        await asyncio.sleep(0)  # the jobs get their turn

    for event in ("startup", "shutdown"):
        events.put_nowait({"type": f"lifespan.{event}"})
    living = asyncio.ensure_future(life({"type": "lifespan", "state": {}}, events.get, send))
    await asyncio.wait([living])
    return sent


def test_jobs_run_from_before_startup_until_after_shutdown() -> None:
    """The stop hook is last."""
    story = Story()
    life = LifespanMiddleware(story.app, [story.job], Hooks(story.tell("start"), story.tell("stop")))
    sent = asyncio.run(lifespan(life))
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert story.told[:3] == ["start", "app startup", "job"]
    assert story.told[3:] == ["app shutdown", "job ended", "stop"]


def test_a_failed_start_hook_fails_startup_with_the_reason() -> None:
    """A port in use, for example; the app's startup does not run."""
    story = Story()

    async def start() -> None:
        raise OSError("CHAOSAPI_ADMIN_PORT: taken")

    sent = asyncio.run(lifespan(LifespanMiddleware(story.app, [story.job], Hooks(start, story.tell("stop")))))
    assert sent == [{"type": "lifespan.startup.failed", "message": "CHAOSAPI_ADMIN_PORT: taken"}]
    assert story.told == []


def test_a_second_event_loop_cannot_start_the_app_while_another_serves() -> None:
    """As the threads of a server on a Python without a GIL would; the one that serves goes on."""
    app = FastAPI()
    chaosapi.install(app, Settings(access_log=False))
    with TestClient(app, base_url="http://localhost") as first:
        answers: list[Message] = asyncio.run(lifespan(app))
        assert [answer["type"] for answer in answers] == ["lifespan.startup.failed"]
        assert "several threads serve this app" in answers[0]["message"]
        assert first.get("/readyz").is_success
    answers = asyncio.run(lifespan(app))
    assert [answer["type"] for answer in answers] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]


def test_without_lifespan_events_the_first_request_starts_the_jobs() -> None:
    """Once; a concurrent request waits too."""
    story = Story()
    life = LifespanMiddleware(story.app, [story.job], Hooks(story.tell("start")))

    async def serve() -> None:
        await asyncio.gather(*(life({"type": "http"}, receive, _drop) for _ in range(2)))
        await life({"type": "http"}, receive, _drop)

    asyncio.run(serve())
    assert (story.told[0], story.told[-1]) == ("start", "job ended")
    assert sorted(story.told[1:-1]) == ["job", "request", "request", "request"]


def test_a_failed_start_is_retried_with_the_next_request() -> None:
    """The first request gets the error."""
    story = Story()
    failures = [OSError("not yet")]

    async def start() -> None:
        if failures:
            raise failures.pop()

    life = LifespanMiddleware(story.app, [story.job], Hooks(start))

    async def serve() -> None:
        with pytest.raises(OSError, match="not yet"):
            await life({"type": "http"}, receive, _drop)
        await life({"type": "http"}, receive, _drop)
        await asyncio.sleep(0)

    asyncio.run(serve())
    assert sorted(story.told) == ["job", "job ended", "request"]


def test_a_request_from_another_event_loop_does_not_start_again() -> None:
    """For example of a second test client."""
    story = Story()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await asyncio.to_thread(asyncio.run, life({"type": "http"}, receive, send))
        await story.app(scope, receive, send)

    life = LifespanMiddleware(app, [story.job], Hooks(story.tell("start"), story.tell("stop")))
    asyncio.run(lifespan(life))
    assert (story.told.count("start"), story.told.count("job"), story.told[-1]) == (1, 1, "stop")


@pytest.mark.parametrize("refuses", [True, False])
def test_an_app_without_lifespan_support_is_started_and_stopped(refuses: bool) -> None:  # noqa: FBT001 - a table
    """Whether it raises or sends nothing: jobs start and stop with the server."""
    story = Story()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if refuses:
            raise NotImplementedError

    sent = asyncio.run(lifespan(LifespanMiddleware(app, [story.job], Hooks(story.tell("start"), story.tell("stop")))))
    assert [message["type"] for message in sent] == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
    assert story.told[:2] == ["start", "job"]
    assert story.told[2:] == ["job ended", "stop"]


async def _drop(message: Message) -> None:
    """Collect the messages."""


class Stopping:
    """Handles SIGTERM as uvicorn's server does."""

    should_exit = False

    def handle_exit(self, *_: object) -> None:
        self.should_exit = True


def test_held_requests_are_released_at_sigterm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before the lifespan shutdown, which the server sends after all requests have ended."""
    monkeypatch.setattr("chaosapi.runtime.lifespan._RELEASE_AFTER_S", 0.01)
    story = Story()
    server = Stopping()

    async def played() -> None:
        hooks = Hooks(
            on_stop_requested=lambda: story.told.append("stop requested"),
            release_held=lambda: story.told.append("release"),
        )
        life = LifespanMiddleware(story.app, [], hooks)
        await life({"type": "http"}, receive, send)
        await asyncio.sleep(0)
        assert story.told == ["request"]
        signal.raise_signal(signal.SIGTERM)
        async with asyncio.timeout(patience(30)):
            while len(story.told) < 3:
                await asyncio.sleep(0.01)
        assert story.told == ["request", "stop requested", "release"]

    async def send(message: Message) -> None:
        raise AssertionError(message)

    former = signal.signal(signal.SIGTERM, server.handle_exit)
    try:
        asyncio.run(played())
    finally:
        signal.signal(signal.SIGTERM, former)
