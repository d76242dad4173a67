"""The time to the first byte of an answer's body, with a clock that only the app advances."""

import asyncio
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from chaosapi.telemetry.exchange import exchange
from chaosapi.telemetry.requests import RequestMetrics
from tests.conftest import Clock

START: Message = {"type": "http.response.start", "status": 200, "headers": []}
Steps = list[Message | float | Exception]


def body(part: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": part, "more_body": more}


def measured(clock: Clock, steps: Steps, method: str = "GET") -> list[tuple[Any, ...]]:
    """Return what is reported of an answer that takes these steps: messages, seconds that pass, an error."""
    reported: list[tuple[Any, ...]] = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        for step in steps:
            if isinstance(step, Exception):
                raise step
            if isinstance(step, float):
                clock.now += step
            else:
                await send(step)

    async def send(_: Message) -> None: ...

    async def receive() -> Message:
        raise NotImplementedError

    def report(*what: Any) -> None:
        reported.append(what)

    async def story() -> None:
        header = (b"x-request-id", b"r")
        scope = {"type": "http", "method": method}
        await exchange(app, scope, receive, send, header, False, clock, report, report)

    try:
        asyncio.run(story())
    except RuntimeError as error:
        assert str(error) == "broken"  # noqa: PT017 - not every answer breaks
    return reported


@pytest.mark.parametrize(
    ("steps", "method", "begin", "end"),
    [
        ([1.0, START, body(b"fine")], "GET", [], (1.0, True, False)),
        ([START, 1.0, body(b"a", more=True), 2.0, body(b"b", more=True), 3.0, body()], "GET", [1.0], (6.0, True, True)),
        ([START, 1.0, body(more=True), 1.0, body(b"late")], "GET", [], (2.0, True, False)),
        ([1.0, START], "HEAD", [], (1.0, True, False)),
        ([START, 1.0, body(b"a", more=True), 1.0, RuntimeError("broken")], "GET", [1.0], (2.0, False, True)),
    ],
    ids=["at once", "streamed", "an empty part first", "without a body", "breaks off"],
)
def test_the_first_byte_is_that_of_the_body(
    clock: Clock, steps: Steps, method: str, begin: list[float], end: tuple[float, bool, bool]
) -> None:
    """The headers of a stream come at once and say nothing about its first token.

    It is reported apart only where the last byte comes later.
    """
    assert measured(clock, steps, method) == [*(("200", seconds) for seconds in begin), ("200", *end)]


def test_a_first_byte_that_never_comes_is_not_fast_and_a_failure_is_left_out() -> None:
    """The first counts in +Inf alone, the second not at all."""
    metrics = RequestMetrics([])
    route = metrics.by_route["GET", "/a"]
    route.count_first_byte("200", 0.2)
    route.count_answer("200", 9, begun=True)
    route.count_answer("200", 0.09)
    route.count_answer("200", 0.2, whole=False)
    route.count_first_byte("503", 0.2)
    route.count_answer("503", 0.2)
    route.count_answer("000", 0.2, whole=False)
    (family,) = (each for each in metrics.collect() if each.name == "http_request_time_to_first_byte_seconds")
    counts = {each.labels["le"]: each.value for each in family.samples if "le" in each.labels}
    assert (counts["0.1"], counts["0.25"], counts["30.0"], counts["+Inf"]) == (1, 2, 2, 3)
