"""No malformed request causes a 5xx: the response is valid and short, and the service keeps working."""

import asyncio
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import pytest
from starlette.types import ASGIApp, Message, Scope

from chaosapi.app import create_app
from chaosapi.settings import Settings
from tests.conftest import Clock
from tests.patience import patience

Headers = tuple[tuple[bytes, bytes], ...]

JSON = (b"content-type", b"application/json")
NAMES = ["f", "\x00", "a\x00b", "é", "\ufffd", "x" * 60_000, "..", "%00", "%ff", "[::1", "{}", "a b", "\n", " "]
HEADERS = [
    *((b"host", value) for value in (b"[::1", b"]", b"a:b:c", b"", b"\xff\xfe", b"x" * 9000, b"a@b", b"[v1.x]:0")),
    *((b"origin", value) for value in (b"http://[", b"\xff", b"null", b"http://[::1]:x")),
    *((b"referer", value) for value in (b"http://[", b"\xff")),
    *((b"content-length", value) for value in (b"\xb2", b"-1", b"9" * 5000, b"1e3")),
    *((b"content-type", value) for value in (b"\xff", b";" * 5000, b"text/json", b'application/json; a="b\\')),
    *((b"content-encoding", value) for value in (b"gzip", b"\xff", b"identity, br")),
    *((b"if-match", value) for value in (b'"' + b"9" * 5000 + b'"', b'"\xff"', b'"\xb2"', b"," * 5000, b'"1" W/')),
    *((b"cookie", value) for value in (b"a=" + b"x" * 9000, b"\xff=\xff", b"=; ;;")),
    *((b"x-chaos-actor", value) for value in (b"\xff\x1b[2J", b"x" * 9000)),
    *((b"authorization", value) for value in (b"\xff", b"Bearer", b"Basic \xff")),
    *((name, b"\xff") for name in (b"x-request-id", b"accept", b"traceparent", b"expect", b"sec-fetch-site")),
    *((b"range", value) for value in (b"bytes=0-,", b"bytes=9-1", b"bytes=" + b"9" * 5000 + b"-", b"\xff")),
    *((b"if-none-match", value) for value in (b"\xff", b"," * 5000)),
    *((b"if-modified-since", value) for value in (b"\xff", b"9" * 5000)),
    (b"idempotency-key", b"\xff" * 255),
    (b"x-forwarded-for", b"["),
    (b"forwarded", b'for="['),
    (b"transfer-encoding", b"gzip"),
]
QUERIES = [
    *(b"limit=" + value for value in (b"-1", b"9" * 5000, b"1e3", b"%ff", b"%00", b"\xff", b"\xd9\xa1")),
    *(b"wait=" + value for value in (b"-1", b"1e9999", b"nan", b"inf", b"0.0.0", b"1h" * 3000, b"%ff")),
    *(b"reason=" + value for value in (b"x" * 9000, b"%ff%fe", b"%ed%a0%80", b"%00", b"a%0Ab", b"%1b[2J")),
    *(b"state=" + value for value in (b"ended", b"%ff", b"")),
    *(b"forecast=" + value for value in (b"maybe", b"%00")),
    *(b"page=" + value for value in (b"1000001", b"9" * 5000, b"\xd9\xa1")),
    *(b"q=" + value for value in (b"", b"%00", b"%ed%a0%80", b"x" * 101)),
    *(b"before=" + value for value in (b"-1", b"9" * 400, b"%ff")),
    *(each * 3000 for each in (b"=", b"&", b"%", b"a=&", b";", b"[]")),
]
BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b'""',
    b"1",
    b"\xff",
    b"{}",
    b"\xef\xbb\xbf{}",
    "{}".encode("utf-16"),
    b"\x1f\x8b",
    b"[" * 2000 + b"]" * 2000,
    b'{"a":NaN}',
    b'{"a":"\\ud800"}',
    b'{"\\ud800":1}',
    b'{"reason":"\\u0000"}',
    b'{"reason":5}',
    b'{"name":"x","reason":null}',
    b'{"effect":{"type":"error","body":"\\ud800"}}',
]
METHODS = ["GET", "HEAD", "POST", "PUT", "OPTIONS", "TRACE", "BREW", "get", "", "A" * 3000]


class Ask(NamedTuple):
    """One request."""

    method: str
    path: str
    headers: Headers = ()
    query: bytes = b""
    body: bytes = b""


async def answer(app: ASGIApp, ask: Ask) -> tuple[int, dict[bytes, bytes], bytes]:
    """Call the app with an unusual scope; return status, headers and body."""
    sent: list[Message] = []
    waiting: list[Message] = [{"type": "http.request", "body": ask.body}]

    async def receive() -> Message:
        return waiting.pop() if waiting else {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    host: Headers = () if any(name == b"host" for name, _ in ask.headers) else ((b"host", b"localhost"),)
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": ask.method,
        "scheme": "http",
        "path": ask.path,
        "raw_path": ask.path.encode(),
        "query_string": ask.query,
        "root_path": "",
        "headers": [*host, *ask.headers],
        "client": ("127.0.0.1", 40_000),
        "server": ("127.0.0.1", 8000),
    }
    await app(scope, receive, send)
    return sent[0]["status"], dict(sent[0]["headers"]), b"".join(each.get("body", b"") for each in sent[1:])


def filled(template: str, name: str) -> str:
    """Replace each path parameter by a name."""
    return name.join(re.split(r"\{[^}]*\}", template))


def oddities(operations: Iterable[tuple[str, str, bool]]) -> Iterator[Ask]:
    """Yield every operation with every oddity, one at a time."""
    for method, template, has_body in operations:
        path = filled(template, "f")
        yield from (Ask(method, filled(template, name), (JSON,)) for name in NAMES)
        yield from (Ask(method, path, (header, JSON), body=b"{}" if has_body else b"") for header in HEADERS)
        yield from (Ask(method, path, (JSON,), query) for query in QUERIES)
        if has_body:
            for kind in (JSON, (b"content-type", b"application/merge-patch+json"), (b"content-type", b"text/plain")):
                yield from (Ask(method, path, (kind,), body=body) for body in BODIES)
        yield from (Ask(other, path) for other in METHODS)
    for path in ("/nowhere", "/nowhere/", "/admin/nowhere", "/admin/faults/", "/api/products/", "/docs", "/admin/docs"):
        yield from (Ask("GET", path, (header,)) for header in HEADERS)


@pytest.mark.parametrize("document", ["/openapi.json", "/admin/openapi.json"])
def test_no_oddity_of_http_is_a_server_error(document: str, clock: Clock) -> None:
    """Paths, queries, headers, bodies and methods, thousands in all; each refusal is a problem document."""

    async def tried() -> list[tuple[Ask, int, bytes]]:
        app = create_app(Settings(access_log=False), clock)
        fault = json.dumps({"effect": {"type": "latency", "distribution": {"type": "constant", "value": 0}}}).encode()
        status, _, _ = await answer(app, Ask("PUT", "/admin/faults/f", (JSON,), body=fault))
        assert status == 201
        _, _, described = await answer(app, Ask("GET", document))
        paths: dict[str, dict[str, Any]] = json.loads(described)["paths"]
        operations = [
            (method.upper(), path, "requestBody" in operation)
            for path, methods in paths.items()
            for method, operation in methods.items()
        ]
        wrong = []
        asked = list(oddities(operations))
        assert len(asked) > 500
        for ask in asked:
            status, headers, body = await asyncio.wait_for(answer(app, ask), patience(30))
            kind = headers.get(b"content-type", b"")
            told = status < 400 or not body or kind == b"application/problem+json"
            if status >= 500 or not told or len(body) > (200_000 if status < 400 else 16_000):
                wrong.append((ask, status, body[:200]))
            body.decode()
        status, _, _ = await answer(app, Ask("DELETE", "/admin/faults"))
        assert status == 200
        return wrong

    assert asyncio.run(tried()) == []
