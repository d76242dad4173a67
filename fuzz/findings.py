"""Findings: each kind once, with its count and the smallest request that reproduces it."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from fuzz.grammar import Message

_SHOWN: Final = 20_000
"""Bytes of a request that are written to the file."""


@dataclass(slots=True)
class Finding:
    """One kind of mistake."""

    wrong: str
    got: str
    message: Message | None = None
    count: int = 1
    smallest: bytes = b""
    """The smallest request that reproduces the finding, if it was minimized."""

    @property
    def where(self) -> str:
        """Return the operation."""
        if not self.message or " by the " in self.wrong:  # by the parser, by the store: the same for all operations
            return "-"
        return self.message.note or f"{self.message.method} {self.message.route}"


class Findings:
    """All findings of a run, by what is wrong and where."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Finding] = {}

    def add(self, wrong: str, got: str, message: Message | None = None) -> Finding:
        """Count a finding."""
        found = Finding(wrong, got, message)
        key = wrong, found.where
        if key in self.known:
            self.known[key].count += 1
        else:
            self.known[key] = found
        return self.known[key]

    @property
    def total(self) -> int:
        """Return the number of findings, repetitions included."""
        return sum(found.count for found in self.known.values())

    def write(self, file: Path, facts: dict[str, Any]) -> None:
        """Append the findings to a file, a line of JSON each."""
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a") as out:
            for found in self.known.values():
                data = found.smallest or (found.message.data if found.message else b"")
                line = {
                    **facts,
                    "wrong": found.wrong,
                    "where": found.where,
                    "count": found.count,
                    "got": found.got[:12_000],
                    "note": found.message.note if found.message else "",
                    "again": replay_command(data[:_SHOWN]) if data else "",
                }
                out.write(json.dumps(line) + "\n")


def replay_command(data: bytes) -> str:
    """Return a shell command that sends the bytes to $PORT again."""
    head, _, body = data.partition(b"\r\n\r\n")
    if len(data) > 400 or not data.isascii() or b"\r\n\r\n" in body or not _curl(head):
        return f"printf {shlex.quote(_escaped(data))} | nc -q 2 127.0.0.1 $PORT"
    first, *headers = head.decode().split("\r\n")
    method, path, _ = first.split(" ", 2)
    own = [header for header in headers if not re.match("(?i)content-length|host: localhost", header)]
    parts = ["curl", "-isS", "--path-as-is", "-X", method, f"localhost:$PORT{path}"]
    for header in own:
        parts += ["-H", header]
    if body:
        parts += ["--data-binary", body.decode()]
    return " ".join(part if part.startswith("localhost:$PORT") else shlex.quote(part) for part in parts)


def _curl(head: bytes) -> bool:
    return bool(re.fullmatch(rb"[A-Z]+ /[\x21-\x7e]* HTTP/1\.1(\r\n[\w-]+: [\x20-\x7e]+)*", head))


def _escaped(data: bytes) -> str:
    text = "".join(chr(byte) if 32 <= byte < 127 and byte not in b"\\%" else f"\\x{byte:02x}" for byte in data)
    return text.replace("\\x0d\\x0a", "\\r\\n")


def minimize(data: bytes, wrong: Callable[[bytes], bool], tries: int) -> bytes:
    """Return a smaller request for which `wrong` is still true, after at most `tries` tries."""
    left = tries
    best = data
    progress = True
    while progress:
        progress = False
        for candidate in _candidates(best):
            if left <= 0:
                return best
            left -= 1
            if wrong(candidate):
                best = candidate
                progress = True
                break
    return best


def _candidates(data: bytes) -> list[bytes]:
    head, gap, body = data.partition(b"\r\n\r\n")
    first, *headers = head.split(b"\r\n")
    own = [header for header in headers if not re.match(b"(?i)content-length|host|content-type", header)]
    found = [_assemble(first, [each for each in headers if each is not header], gap, body) for header in own]
    if b"?" in first:
        found.append(_assemble(re.sub(rb"\?\S*", b"", first), headers, gap, body))
    try:
        document = json.loads(body) if body else None
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, (dict, list)):
        found += [_assemble(first, headers, gap, json.dumps(each).encode()) for each in _reduced(document)]
    return found


def _assemble(first: bytes, headers: list[bytes], gap: bytes, body: bytes) -> bytes:
    lines = [each if not each.startswith(b"content-length") else b"content-length: %d" % len(body) for each in headers]
    return b"\r\n".join([first, *lines]) + gap + body


def _without(document: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


def _reduced(document: Any) -> list[Any]:
    """Return a copy of the document for each part, without the part or with it shortened, the outermost part first."""
    found: list[Any] = []
    if isinstance(document, dict):
        found += [_without(document, key) for key in document]
        for key, value in document.items():
            found += [{**document, key: each} for each in _reduced(value)]
    elif isinstance(document, list) and document:
        half = len(document) // 2
        found += [document[:half], document[half:]] if half else [[]]
        if len(document) < 20:
            for place, value in enumerate(document):
                found += [[*document[:place], each, *document[place + 1 :]] for each in _reduced(value)]
    elif isinstance(document, str) and len(document) > 1:
        half = len(document) // 2
        found += [document[:half], document[half:]]
    return found
