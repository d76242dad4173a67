"""The completion of responses, from the messages of ASGI and its extensions."""

from typing import Any

import pytest
from starlette.types import Message

from chaosapi.response import ResponseProgress


def start(status: int = 200, length: str | None = None, name: bytes = b"content-length", **more: Any) -> Message:
    headers = [] if length is None else [(b"x", b"y"), (name, length.encode())]
    return {"type": "http.response.start", "status": status, "headers": headers, **more}


def body(part: bytes = b"", *, more: bool = False) -> Message:
    return {"type": "http.response.body", "body": part, "more_body": more}


FILE = {"type": "http.response.pathsend", "path": "/a"}
EMPTY = {"type": "http.response.body"}


def part_of_file(count: int | None, *, more: bool) -> Message:
    return {"type": "http.response.zerocopysend", "file": 3, "count": count, "more_body": more}


def trailers(*, more: bool) -> Message:
    return {"type": "http.response.trailers", "headers": [], "more_trailers": more}


@pytest.mark.parametrize(
    ("method", "messages", "complete_at"),
    [
        ("GET", [start(), body(b"ab")], 2),
        ("GET", [start(), EMPTY], 2),
        ("GET", [{"type": "http.response.start", "status": 200}, body(b"a", more=True), body()], 3),
        ("GET", [start(), body(b"ab", more=True), body(b"cd", more=True), body()], 4),
        ("GET", [start(length="4"), body(b"ab", more=True), body(b"cd", more=True), body()], 3),
        ("GET", [start(length="4", name=b"Content-Length"), body(b"abcd", more=True), body()], 2),
        ("GET", [start(length="4"), body(b"ab", more=True)], None),
        ("GET", [start(length="0"), body(b"", more=True), body()], 2),
        ("GET", [start(length="many"), body(b"ab", more=True), body()], 3),
        ("HEAD", [start(length="4"), body(b"", more=True), body()], 1),
        ("GET", [start(304), body()], 1),
        ("GET", [start(204), body()], 1),
        ("GET", [start(500), body()], 2),
        ("GET", [start(length="4"), FILE], 2),
        ("GET", [start(trailers=True), FILE, trailers(more=False)], 3),
        ("GET", [start(length="4"), part_of_file(2, more=True), part_of_file(2, more=True), body()], 3),
        ("GET", [start(length="4"), part_of_file(None, more=True), part_of_file(None, more=False)], 3),
        ("GET", [start(trailers=True), body(b"ab"), trailers(more=True), trailers(more=False)], 4),
        ("HEAD", [start(trailers=True), body(), trailers(more=False)], 3),
        ("GET", [{"type": "http.response.early_hint", "links": []}, start(), body()], 3),
        ("GET", [start(), {"type": "http.response.push"}, body()], 3),
        ("GET", [], None),
    ],
)
def test_a_response_is_complete_with_its_last_byte(
    method: str, messages: list[Message], complete_at: int | None
) -> None:
    """By its declared length, its last message, its trailers; without a body, when it starts."""
    progress = ResponseProgress(method)
    seen = []
    for message in messages:
        progress.observe(message)
        seen.append(progress.complete)
    assert seen == [complete_at is not None and number >= complete_at for number in range(1, len(messages) + 1)]
