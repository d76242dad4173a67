"""Effects on bodies, for responses without a body, streams, and aborted responses."""

from collections.abc import AsyncIterator
from operator import itemgetter
from typing import Any

import pytest
from starlette.responses import FileResponse, PlainTextResponse, Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from chaosapi.inner import InnerMiddleware
from tests.conftest import Clock
from tests.tiny_app import Answer, Crowd, constant, near

THROTTLE = {"type": "throttle", "bytes_per_second": 1}
ON_BODIES: dict[str, dict[str, Any]] = {
    "throttle": THROTTLE,
    "truncate": {"type": "truncate"},
    "truncate-bytes": {"type": "truncate", "keep_bytes": 1},
    "garbage": {"type": "corrupt"},
    "bits": {"type": "corrupt", "mode": "bits"},
    "json": {"type": "corrupt", "mode": "json"},
}


def crowd_of(app: ASGIApp, clock: Clock, **options: Any) -> Crowd:
    """Return clients of this app."""
    crowd = Crowd(clock, **options)
    crowd.faults.app = InnerMiddleware(app)
    return crowd


def counted(crowd: Crowd, **skipped: int) -> tuple[int, int]:
    """Return how many requests were matched and injected; check why others were skipped."""
    (run,) = crowd.engine.active_faults()
    assert dict(run.counts.skipped) == skipped
    return run.counts.matched, run.counts.injected


def visit(crowd: Crowd, method: str = "GET") -> Answer:
    """Send one request and return the answer."""
    (answer,) = crowd.play(crowd.ask("r", method))
    return answer


class Streamed:
    """An app that streams chunks at an interval, with or without the length."""

    def __init__(self, *chunks: bytes, every: float = 0.0, length: bool = False) -> None:
        self.chunks = chunks
        self.every = every
        self.headers = {"content-length": str(sum(map(len, chunks)))} if length else {}
        self.crowd: Crowd | None = None

    async def parts(self) -> AsyncIterator[bytes]:
        for chunk in self.chunks:
            if self.every:
                assert self.crowd
                await self.crowd.until(self.crowd.clock.now + self.every)
            yield chunk

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(self.parts(), headers=self.headers)(scope, receive, send)


def streaming(clock: Clock, *chunks: bytes, every: float = 0.0, length: bool = False) -> Crowd:
    """Return clients of a streaming app."""
    app = Streamed(*chunks, every=every, length=length)
    app.crowd = crowd_of(app, clock)
    return app.crowd


@pytest.mark.parametrize("effect", ON_BODIES.values(), ids=ON_BODIES)
@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("HEAD", 404), ("GET", 204), ("GET", 304)])
def test_a_response_without_a_body_is_skipped_once_and_not_delayed(
    clock: Clock, effect: dict[str, Any], method: str, status: int
) -> None:
    """A server sends no body for these, whatever their content-length; the connection stays open."""
    headers = {"content-length": "5"} if status == 304 else {}
    app = PlainTextResponse("twelve bytes" if method == "HEAD" else "", status, headers)
    crowd = crowd_of(app, clock, mark=True)
    crowd.inject("f", effect)
    answer = visit(crowd, method)
    assert (answer.status, answer.took) == (status, 0)
    assert "x-chaos-fault" not in answer.headers
    assert counted(crowd, no_body=1) == (1, 0)


@pytest.mark.parametrize("effect", ON_BODIES.values(), ids=ON_BODIES)
def test_a_response_that_never_starts_is_counted_once(clock: Clock, effect: dict[str, Any]) -> None:
    """The app raises."""

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    crowd = crowd_of(failing, clock)
    crowd.inject("f", effect)
    with pytest.raises(ZeroDivisionError):
        visit(crowd)
    assert counted(crowd, unfinished=1) == (1, 0)


@pytest.mark.parametrize("effect", [*ON_BODIES.values(), constant(2, "floor")], ids=[*ON_BODIES, "floor"])
@pytest.mark.parametrize(
    "start", [{}, {"headers": [(b"content-length", b"many")]}], ids=["headers left out", "no length"]
)
def test_the_start_of_a_response_need_not_declare_a_length(
    clock: Clock, effect: dict[str, Any], start: dict[str, Any]
) -> None:
    """ASGI lets an app leave the headers out, and servers send whatever it says."""

    async def terse(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, **start})
        await send({"type": "http.response.body", "body": b"twelve bytes"})

    crowd = crowd_of(terse, clock, mark=True)
    crowd.inject("f", effect)
    assert visit(crowd).status == 200
    assert counted(crowd) == (1, 1)


@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize(("every", "took"), [(0.1, 2.0), (0.5, 2.0), (1.0, 4.0)])
def test_a_floor_pads_the_end_of_a_stream(clock: Clock, every: float, took: float, length: bool) -> None:  # noqa: FBT001 - a table
    """Four chunks with a floor of two seconds: at the floor, or at the stream's own end."""
    crowd = streaming(clock, *[b"x"] * 4, every=every, length=length)
    crowd.inject("f", constant(2, "floor"))
    answer = visit(crowd)
    assert (answer.body, answer.took) == (b"xxxx", took)
    assert counted(crowd) == (1, 1)
    assert crowd.delay("f") == {"planned": near(2), "measured": near(took)}


def test_a_floor_pads_the_end_of_a_file_that_is_sent_in_parts(clock: Clock) -> None:
    """As the ASGI extension for zero-copy sends; a part before the last one is not held."""
    sent_at = []

    async def copying(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for more in (True, False):
            await send({"type": "http.response.zerocopysend", "file": 3, "count": 1, "more_body": more})
            sent_at.append(crowd.clock.now - began)

    crowd = crowd_of(copying, clock)
    began = crowd.clock.now
    crowd.inject("f", constant(2, "floor"))
    visit(crowd)
    assert sent_at == [0, 2]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_floor_delays_a_response_in_one_piece(clock: Clock, method: str) -> None:
    """The head too, as from a slow handler."""
    crowd = crowd_of(PlainTextResponse("fine"), clock, mark=True)
    crowd.inject("f", constant(2, "floor"))
    answer = visit(crowd, method)
    assert (answer.took, answer.headers["server-timing"]) == (2, "f;desc=latency;dur=2000.0")


def test_a_file_is_padded_like_a_stream(clock: Clock) -> None:
    """Its length is known, and it is sent in chunks or by an ASGI extension."""

    async def file(scope: Scope, receive: Receive, send: Send) -> None:
        await FileResponse(__file__)(scope, receive, send)

    crowd = crowd_of(file, clock)
    crowd.inject("f", constant(2, "floor"))
    answer = visit(crowd)
    assert answer.took == 2
    assert answer.body.startswith(b'"""Effects on bodies')


@pytest.mark.parametrize("length", [False, True])
@pytest.mark.parametrize(
    ("keep_bytes", "arrives", "reason"), [(0, b"", None), (1, b"a", None), (5, b"aabbc", None), (6, b"aabbcc", "x")]
)
def test_a_stream_is_truncated_at_the_byte_limit(
    clock: Clock,
    keep_bytes: int,
    arrives: bytes,
    reason: str | None,
    length: bool,  # noqa: FBT001 - a table
) -> None:
    """With or without a known length; a shorter one is complete."""
    crowd = streaming(clock, b"aa", b"bb", b"cc", length=length)
    crowd.inject("f", {"type": "truncate", "keep_bytes": keep_bytes})
    assert visit(crowd).body == arrives
    assert counted(crowd, **({"short_body": 1} if reason else {})) == (1, 0 if reason else 1)


@pytest.mark.parametrize(("length", "arrives"), [(True, b"aab"), (False, b"a")])
def test_a_share_is_of_the_body_or_of_the_first_chunk(clock: Clock, arrives: bytes, length: bool) -> None:  # noqa: FBT001 - a table
    """The length of a stream without content-length is unknown."""
    crowd = streaming(clock, b"aa", b"bb", b"cc", length=length)
    crowd.inject("f", {"type": "truncate", "keep": 0.5})
    assert visit(crowd).body == arrives
    assert counted(crowd) == (1, 1)


@pytest.mark.parametrize("effect", [THROTTLE, constant(3600, "floor")], ids=["throttle", "floor"])
def test_a_stream_between_chunks_does_not_count_as_held(clock: Clock, effect: dict[str, Any]) -> None:
    """A few slow streams must not use up the limit of held requests."""
    crowd = streaming(clock, b"x", b"x", every=10)
    crowd.held.most = 1
    crowd.inject("f", effect)
    held: list[int] = []

    async def look() -> None:
        await crowd.until(5)
        held.append(crowd.faults.held)
        crowd.engine.release()

    crowd.play(crowd.ask("one"), crowd.ask("two"), look())
    assert held == [0]


def test_beyond_max_held_a_wait_is_skipped(clock: Clock) -> None:
    """Three requests start before any is held, and wait concurrently: one is held."""
    crowd = Crowd(clock)
    crowd.faults.app = InnerMiddleware(Slow(crowd))
    crowd.held.most = 1
    crowd.inject("f", constant(5, "floor"))
    answers = crowd.play(*(crowd.ask(key) for key in "abc"))
    assert sorted(answer.took for answer in answers) == [1, 1, 5]
    assert counted(crowd, max_held=2) == (3, 1)


class Slow:
    """An app that takes a second."""

    def __init__(self, crowd: Crowd) -> None:
        self._crowd = crowd

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._crowd.until(1)
        await Response("fine")(scope, receive, send)


@pytest.mark.parametrize("listens", [False, True])
def test_an_error_after_the_work_stops_an_endless_stream(clock: Clock, listens: bool) -> None:  # noqa: FBT001 - a table
    """Also one that never calls receive, as allowed by ASGI 2.4."""
    spec = {"spec_version": "2.3" if listens else "2.4"}

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"tick"

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await StreamingResponse(endless())({**scope, "asgi": spec}, receive, send)

    crowd = crowd_of(app, clock)
    crowd.inject("f", {"type": "error", "when": "after"})
    answer = visit(crowd)
    assert (answer.status, b"tick" in answer.body) == (503, False)
    assert counted(crowd) == (1, 1)


def test_an_error_after_the_injected_error_is_raised(clock: Clock) -> None:
    """For example in a background task."""

    async def failing() -> None:
        raise ZeroDivisionError

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await Response("fine")(scope, receive, send)
        await failing()

    crowd = crowd_of(app, clock)
    crowd.inject("f", {"type": "error", "when": "after"})
    with pytest.raises(ZeroDivisionError):
        visit(crowd)
    assert counted(crowd) == (1, 1)


@pytest.mark.parametrize("effect", [{"type": each} for each in ("reset", "truncate", "hang")], ids=itemgetter("type"))
def test_effects_that_the_server_does_not_support_are_skipped(clock: Clock, effect: dict[str, Any]) -> None:
    """Only uvicorn gives access to the connection: under other servers the app responds; the skip is counted."""
    crowd = crowd_of(PlainTextResponse("fine"), clock)
    crowd.server = None
    crowd.inject("f", effect)
    assert visit(crowd).body == b"fine"
    assert counted(crowd, no_connection=1) == (1, 0)


@pytest.mark.parametrize("delays", [constant(2), constant(2, "floor")], ids=["add", "floor"])
@pytest.mark.parametrize("first", ["delay", "cut"])
def test_a_response_that_is_cut_is_delayed_as_well(clock: Clock, delays: dict[str, Any], first: str) -> None:
    """Whichever fault is older."""
    crowd = crowd_of(PlainTextResponse("abcdef"), clock)
    faults = {"delay": delays, "cut": {"type": "truncate"}}
    for name in (first, *(faults.keys() - {first})):
        crowd.inject(name, faults[name])
        clock.now += 1
    answer = visit(crowd)
    assert (answer.took, answer.body) == (2, b"abc")
    assert all(crowd.receipt(name)["injected"] == 1 for name in faults)
