"""Limits on the size of documents: an accepted document can be stored, read back, listed and returned."""

import json
import math
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import accumulate, islice
from typing import Any, Final, NamedTuple

from chaosapi.errors import BadRequest, Invalid, TooLarge
from chaosapi.text import escape_control

MAX_ERRORS: Final = 20
"""How many errors of a document are explained; further ones are counted."""

_INTEGERS: Final = range(-(2**63), 2**64)
"""Integers that other languages can read: 64 bits, signed or unsigned."""
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))


class JsonLimits(NamedTuple):
    """The limits of one document."""

    depth: int
    """Levels of nested objects and lists."""
    values: int
    """Objects, lists and the values in them."""
    size: int = 1_000_000
    """Bytes."""


SMALL: Final = JsonLimits(depth=8, values=100, size=20_000)
"""A short form: an item of the shop, the reason of a halt."""
FAULT: Final = JsonLimits(depth=32, values=10_000)
"""A fault, mostly the body of its error response; or the stages of a load test."""
WEBHOOK: Final = JsonLimits(depth=16, values=30_000)
"""A notification of a thousand alerts."""
FILE: Final = JsonLimits(depth=32, values=50_000)
"""A file that a person wrote."""


def read(body: bytes, limits: JsonLimits) -> Any:
    """Return the JSON document (RFC 8259) in a body; the limits are checked before any object is built.

    Raises TooLarge, BadRequest for malformed JSON, and Invalid for JSON that parsers disagree on: duplicate keys, text
    that UTF-8 cannot encode, numbers that are not finite or have more than 64 bits.
    """
    if len(body) > limits.size:
        raise too_large(limits)
    try:
        # Not with utf-8-sig: Python imports that codec at its first use, which fails without a free file descriptor.
        text = body.removeprefix(BOM_UTF8).decode()
    except UnicodeDecodeError as error:
        raise BadRequest(f"the body is not UTF-8: {error.reason} at byte {error.start}") from None
    if "\0" in text:  # every JSON text in UTF-16 or UTF-32 has one
        raise BadRequest("the body is not UTF-8: it has zero bytes")
    _check_structure(body, limits)
    try:
        document = _DECODER.decode(text)
    except ValueError as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else "a number has too many digits"
        raise BadRequest(f"the body is not JSON: {reason}") from None
    check(document, limits)
    return document


def check(document: Any, limits: JsonLimits) -> None:
    """Raise Invalid, by field, for a document beyond the limits, and for values that JSON in UTF-8 cannot express."""
    found = list(islice(_find_problems(document, limits), MAX_ERRORS))
    if found:
        raise refusal([(".".join(path) or "body", message) for path, message in found])


def refusal(found: Iterable[tuple[str, str]], more: int = 0) -> Invalid:
    """Return an error with the message of each wrong field; `more` is the number of further errors."""
    fields = [{"field": shown(field, 100), "message": shown(message, 300)} for field, message in found]
    detail = shown("; ".join(f"{each['field']}: {each['message']}" for each in fields), 1000)
    return Invalid(f"{detail}; and {more:,} more" if more else detail, fields)


def shown(text: str, most: int = 200) -> str:
    """Return text that is safe to show: at most `most` bytes of UTF-8, control characters escaped."""
    data = escape_control(text[: most + 1]).encode()
    return data.decode() if len(data) <= most else f"{data[: most - 3].decode(errors='ignore')}…"


def too_large(limits: JsonLimits) -> TooLarge:
    return TooLarge(f"the body has more than {limits.size:,} bytes, which is the most")


def too_deep(limits: JsonLimits) -> str:
    return f"nested more than {limits.depth} levels deep, which is the most here"


def too_many(limits: JsonLimits) -> str:
    return f"more than {limits.values:,} values, which is the most here"


def _check_structure(body: bytes, limits: JsonLimits) -> None:
    """Refuse a body with too many levels, or with more than twice the allowed values; `check` counts them exactly.

    This scans the bytes without parsing: each step runs in C, or at most once for each allowed value.
    """
    plain = body.replace(b"\\\\", b"").replace(b'\\"', b"")  # in this order: a backslash can escape a backslash
    if plain.count(b'"') > 4 * limits.values:  # two quotes for a key, two for its text
        raise Invalid.field("body", too_many(limits))
    outside = b"".join(plain.split(b'"')[::2])
    if any(outside.count(one) != outside.count(other) for one, other in (b"[]", b"{}")):
        raise BadRequest("the body is not JSON: its brackets do not match")
    opened = outside.count(b"{") + outside.count(b"[")
    if opened + outside.count(b",") > 2 * limits.values:
        raise Invalid.field("body", too_many(limits))
    brackets = outside.translate(None, _NO_BRACKETS)
    if max(accumulate(1 if each in b"[{" else -1 for each in brackets), default=0) > limits.depth:
        raise Invalid.field("body", too_deep(limits))


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        twice, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise Invalid.field(shown(twice), "this key is there twice")
    return made


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_without_duplicates)

_Path = tuple["_Path", int | str] | None
"""The position of a value in a document: the path of its container, and its key or index there."""


def _find_problems(document: Any, limits: JsonLimits) -> Iterator[tuple[list[str], str]]:
    """Yield path and message of what is beyond the limits, or what JSON in UTF-8 cannot express."""
    pending: list[tuple[_Path, int, Any]] = [(None, 0, {"": document})]
    values = 0
    while pending:
        place, depth, container = pending.pop()
        named = isinstance(container, dict)
        values += len(container)
        if values > limits.values:
            yield [], too_many(limits)
            return
        if depth > limits.depth:
            yield [], too_deep(limits)
            return
        if named and not all(map(encodable, container)):
            yield _path_of(place), "the name of a field has a lone surrogate, which UTF-8 cannot encode"
        for key, value in container.items() if named else enumerate(container):
            if isinstance(value, str) and value.isascii():
                continue
            if isinstance(value, dict | list):
                pending.append(((place, key), depth + 1, value))
            elif (message := _problem_with(value)) is not None:
                yield _path_of((place, key)), message


def _problem_with(value: Any) -> str | None:
    if isinstance(value, str):
        return None if encodable(value) else "this text has a lone surrogate, which UTF-8 cannot encode"
    if isinstance(value, float):
        return None if math.isfinite(value) else "a number is finite: neither NaN nor Infinity is JSON"
    if isinstance(value, int):
        return None if value in _INTEGERS else "a whole number has at most 64 bits"
    return None if value is None else f"{type(value).__name__} is no value of JSON"


def encodable(text: Any) -> bool:
    """Return whether UTF-8 can encode the value: it is not text, or has no lone surrogates."""
    if not isinstance(text, str) or text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _path_of(place: _Path) -> list[str]:
    steps: list[str] = []
    while place is not None:
        place, step = place
        steps.append(str(step))
    return [step for step in reversed(steps) if step]
