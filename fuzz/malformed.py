"""Malformed HTTP made from a valid request: framing, headers, versions, sizes."""

from collections.abc import Callable
from dataclasses import replace
from random import Random
from typing import Final

from fuzz.grammar import Message, Request


def malformed(dice: Random, request: Request) -> Message:
    """Return the request with malformed bytes; any number of responses is valid."""
    change = dice.choice(_CHANGES)
    return replace(change(dice, request), plain=False, answers=1, note=change.__name__.strip("_"))


def _with(request: Request, *headers: str, body: bytes | None = None) -> Message:
    """Write the request with these headers and, after them, exactly this body."""
    lines = [f"{request.method} {request.path} HTTP/1.1", "host: localhost", "content-type: application/json", *headers]
    head = "\r\n".join(lines).encode("latin-1", "replace")
    found = request.message()
    return replace(found, data=head + b"\r\n\r\n" + (request.body or b"" if body is None else body))


def _length_too_long(dice: Random, request: Request) -> Message:
    return _with(request, f"content-length: {len(request.body or b'') + dice.choice((1, 10, 10**6, 10**20))}")


def _length_too_short(dice: Random, request: Request) -> Message:
    return _with(request, f"content-length: {max(0, len(request.body or b'') - dice.choice((1, 5)))}")


def _length_nonsense(dice: Random, request: Request) -> Message:
    length = dice.choice(("-1", "+5", "5, 5", "0x10", "", "1e3", "5 5"))
    return _with(request, f"content-length: {length}")


def _two_lengths(_: Random, request: Request) -> Message:
    return _with(request, "content-length: 5", "content-length: 6")


def _chunks(body: bytes) -> bytes:
    half = len(body) // 2
    parts = [part for part in (body[:half], body[half:]) if part]
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


def _chunked(_: Random, request: Request) -> Message:
    return _with(request, "transfer-encoding: chunked", body=_chunks(request.body or b"{}"))


def _chunked_wrong(dice: Random, request: Request) -> Message:
    broken = dice.choice(
        (
            *(b"zz\r\nabc\r\n0\r\n\r\n", b"-1\r\n\r\n", b"ffffffffffffffff1\r\nabc", b"3\nabc\n0\n\n"),
            *(b"3;" + b"x" * 70_000 + b"\r\nabc\r\n0\r\n\r\n", b"3\r\nabc\r\n0\r\nx: " + b"y" * 70_000 + b"\r\n\r\n"),
            *(b"3\r\nabcdef", b"5\r\n{", b"0\r\n\r\n"),
        )
    )
    return _with(request, "transfer-encoding: chunked", body=broken)


def _both_framings(_: Random, request: Request) -> Message:
    return _with(request, "content-length: 4", "transfer-encoding: chunked", body=_chunks(b"{}"))


def _other_coding(dice: Random, request: Request) -> Message:
    return _with(request, f"transfer-encoding: {dice.choice(('gzip', 'identity', 'chunked, chunked', 'xchunked', ''))}")


def _large_headers(dice: Random, request: Request) -> Message:
    size = dice.choice((8_000, 33_000, 70_000, 300_000))
    if dice.random() < 0.5:
        return _with(request, f"x-large: {'a' * size}")
    return _with(request, *(f"x-{number}: {'a' * 50}" for number in range(size // 60)))


def _header_bytes(dice: Random, request: Request) -> Message:
    odd = dice.choice(
        ("x: \x00", "x: a\rb", " folded: x", "no colon", "x y: z", ": empty", "x:\x7f", "\xff: x", "x: \n y")
    )
    return _with(request, odd, f"content-length: {len(request.body or b'')}")


def _version(dice: Random, request: Request) -> Message:
    found = request.message()
    other = dice.choice(
        (b"HTTP/1.0", b"HTTP/0.9", b"HTTP/2.0", b"HTTP/1.1.1", b"http/1.1", b"", b"HTTP/9.9", b"ICY/1.0")
    )
    return replace(found, data=found.data.replace(b"HTTP/1.1", other, 1))


def _no_host(_: Random, request: Request) -> Message:
    found = request.message()
    return replace(found, data=found.data.replace(b"host: localhost\r\n", b"", 1))


def _two_hosts(_: Random, request: Request) -> Message:
    return _with(request, "host: evil.example", f"content-length: {len(request.body or b'')}")


def _absolute(dice: Random, request: Request) -> Message:
    start = dice.choice(("http://localhost", "http://evil.example", "http://[", "//evil.example", "*", "", "\x00", "?"))
    return replace(request, path=start + request.path).message()


def _first_line(dice: Random, request: Request) -> Message:
    lines = (
        *("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "CONNECT localhost:22 HTTP/1.1\r\nhost: x\r\n\r\n", "\r\n" * 100),
        *(
            "GET\r\n\r\n",
            "GET / HTTP/1.1\nhost: localhost\n\n",
            "\x16\x03\x01\x02\x00\x01\x00",
            "GET  /  HTTP/1.1\r\n\r\n",
        ),
        *("OPTIONS * HTTP/1.1\r\nhost: localhost\r\n\r\n", f"GET /{'a' * 70_000} HTTP/1.1\r\nhost: localhost\r\n\r\n"),
        *(
            "GET /\x00 HTTP/1.1\r\nhost: localhost\r\n\r\n",
            "G" * 70_000,
            "GET /%zz HTTP/1.1\r\nhost: localhost\r\n\r\n",
        ),
    )
    return replace(request.message(), data=dice.choice(lines).encode("latin-1"))


def _upgrade(dice: Random, request: Request) -> Message:
    to = dice.choice(("websocket", "h2c", "TLS/1.0", ""))
    key = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ=="
    return _with(request, f"upgrade: {to}", "connection: upgrade", key, "sec-websocket-version: 13")


def _expect(dice: Random, request: Request) -> Message:
    """Wait for a 100 Continue that need not come."""
    length = dice.choice((5, 10**7))
    return _with(request, "expect: 100-continue", f"content-length: {length}", body=b"")


def _flipped(dice: Random, request: Request) -> Message:
    found = request.message()
    data = bytearray(found.data)
    for _ in range(dice.choice((1, 2, 5))):
        data[dice.randrange(min(len(data), 400))] = dice.randrange(256)
    return replace(found, data=bytes(data))


_CHANGES: Final[tuple[Callable[[Random, Request], Message], ...]] = (
    *(_length_too_long, _length_too_short, _length_nonsense, _two_lengths, _chunked, _chunked_wrong, _both_framings),
    *(_other_coding, _large_headers, _header_bytes, _version, _no_host, _two_hosts, _absolute, _first_line, _upgrade),
    *(_expect, _flipped),
)
