"""Mutate valid documents into invalid ones: change the structure, then the text."""

import copy
import json
import re
from collections.abc import Callable
from random import Random
from typing import Any, Final

_DEEP: Final = "@deep@"
_LARGE: Final = 20_000
"""Characters beyond which a document is not mutated further. Repeated items are one object, so that a mutation of one
would be multiplied, up to gigabytes of text."""
_LARGEST: Final = 2_000_000
"""Characters of a list that repeats a value, twice as many as a body may have bytes."""
_RAW: Final = re.compile(rf'"{_DEEP}(\d+)(\[|\{{)"')

_VALUES: Final[tuple[Any, ...]] = (
    *(None, True, False, 0, -1, 1, 1.5, -0.0, 1e-320, 1e308, 2**31, 2**53 + 1, 2**63, 2**64, 10**40),
    *(float("nan"), float("inf"), float("-inf")),
    *("", " ", "0", "-1s", "1ns", "99999h", "1m-1s", "1e3", "nan", "null", "a" * 300, "a" * 70_000),
    *("\ud800", "a\udfffb", "\x00", "\x1b[2J", "\r\nset-cookie: x=1", "\u202e", "\ufeff", "\U0001f600", "e\u0301"),
    *("[/nope]", "<script>", "<!--<script>", "${jndi:x}", "../../etc/passwd", "%s%n", "javascript:alert(1)"),
    *("/api/*" * 30, "/" * 190, "0503", "503 ", "5e2"),
    *([], {}, [[]], [None], {"": None}, {"\ud800": 1}, {"__proto__": {}}, {"type": "mixture"}),
)


def mutate(dice: Random, document: Any) -> bytes:
    """Return the text of the document with one to three mutations."""
    document = copy.deepcopy(document)
    holder = [document]
    if dice.random() < 0.08:
        _extreme(dice, holder, 0)
    else:
        for _ in range(dice.choice((1, 1, 2, 3))):
            parent, key = dice.choice(_places(holder))
            dice.choice(_STRUCTURE)(dice, parent, key)
            if len(json.dumps(holder)) > _LARGE:
                break
    text = to_json(holder[0])
    if dice.random() < 0.15:
        return dice.choice(_TEXT)(dice, text)
    return text.encode()


def to_json(document: Any) -> str:
    """Return the document as JSON; a depth mark becomes nested brackets."""
    return _RAW.sub(lambda found: _nested(int(found[1]), found[2]), json.dumps(document))


def _nested(depth: int, bracket: str) -> str:
    if bracket == "[":
        return "[" * depth + "]" * depth
    return '{"a":' * depth + "1" + "}" * depth


def _places(holder: list[Any]) -> list[tuple[Any, Any]]:
    """Return every place in a document as its parent and key."""
    found: list[tuple[Any, Any]] = []
    todo: list[Any] = [holder]
    while todo:
        parent = todo.pop()
        keys = list(parent) if isinstance(parent, dict) else range(len(parent))
        for key in keys:
            found.append((parent, key))
            if isinstance(parent[key], (dict, list)):
                todo.append(parent[key])
    return found


def _value(dice: Random) -> Any:
    return copy.deepcopy(dice.choice(_VALUES))  # a later mutation may change the value


def _replace(dice: Random, parent: Any, key: Any) -> None:
    parent[key] = _value(dice)


def _remove(_: Random, parent: Any, key: Any) -> None:
    if isinstance(parent, dict):
        del parent[key]
    else:
        parent[key] = None


def _add(dice: Random, parent: Any, key: Any) -> None:
    target = parent[key] if isinstance(parent[key], dict) else parent
    if isinstance(target, dict):
        target[dice.choice(("x", "type", "effect", "Rate", "", "\ud800", "a" * 5000, "rate"))] = _value(dice)


def _wrap(_: Random, parent: Any, key: Any) -> None:
    parent[key] = [parent[key]]


def _deepen(dice: Random, parent: Any, key: Any) -> None:
    """Nest to a depth near a typical limit of parsers."""
    depth = dice.choice((5, 30, 40, 63, 64, 65, 100, 126, 128, 196, 197, 198, 254, 255, 256, 400, 990, 1000, 5000))
    parent[key] = f"{_DEEP}{depth}{dice.choice('[{')}"


def _mix(dice: Random, parent: Any, key: Any) -> None:
    """Nest a mixture in a mixture, as the schema allows."""
    found: Any = {"type": "constant", "value": 0.01}
    for _ in range(dice.choice((2, 10, 30, 64, 65, 130))):
        found = {"type": "mixture", "components": [{"weight": 1, "distribution": found}]}
    target = parent[key] if isinstance(parent[key], dict) and "type" in parent[key] else None
    if target is not None and "distribution" in target:
        target["distribution"] = found
    else:
        parent[key] = {"type": "latency", "distribution": found} if key == "effect" else found


def _extreme(dice: Random, parent: Any, key: Any) -> None:
    """Bring a fault to the limits of validity."""
    document = parent[key]
    if not isinstance(document, dict) or "effect" not in document:
        _deepen(dice, parent, key)
        return
    kind = dice.randrange(5)
    if kind == 0:
        document["effect"] = {"type": "error", "body": {"a": None}}
        dice.choice((_deepen, _deepen, _replace, _lengthen))(dice, document["effect"]["body"], "a")
    elif kind == 1:
        document["effect"] = {"type": "latency", "distribution": {"type": "constant", "value": 0.01}}
        _mix(dice, document, "effect")
    elif kind == 2:
        shape = {"type": "bursts", "on": "100ms", "off": "100ms"}
        document["schedule"] = {"duration": dice.choice((10, 1990, 2000)), "shape": shape}
    elif kind == 3:
        routes = [f"/{'r' * 190}{number}" for number in range(dice.choice((99, 100, 101)))]
        document["target"] = {"routes": routes, "headers": {f"x-{number}": "v" * 1000 for number in range(20)}}
    else:
        document["effect"] = {"type": "error", "status": {dice.choice(("503", "0503", "5e2", "503 ")): 1, "500": 1}}


def _widen(dice: Random, parent: Any, key: Any) -> None:
    """Repeat a value: as items of a list, or as fields of an object."""
    count = dice.choice((11, 21, 101, 101, 1001, 1001, 10_001 if dice.random() < 0.2 else 101))
    value = parent[key]
    count = min(count, _LARGEST // len(json.dumps(value)))
    if isinstance(value, list):
        parent[key] = (value or [{}]) * count
    elif isinstance(value, dict):
        value.update({f"k{number}": number for number in range(count)})
    else:
        parent[key] = [value] * count


def _lengthen(dice: Random, parent: Any, key: Any) -> None:
    letter = dice.choice(("a", "\u00e9", "\U0001f600", "\x00", "\\", '"'))
    parent[key] = letter * dice.choice((101, 201, 501, 1001, 5000, 60_000))


_STRUCTURE: Final[tuple[Callable[[Random, Any, Any], None], ...]] = (
    *(_replace, _replace, _replace, _replace, _remove, _add, _wrap, _deepen, _mix, _widen, _lengthen),
)


def _cut(dice: Random, text: str) -> bytes:
    return text.encode()[: dice.randrange(len(text) + 1)]


def _flip(dice: Random, text: str) -> bytes:
    found = bytearray(text.encode())
    for _ in range(dice.choice((1, 1, 3))):
        found[dice.randrange(len(found))] = dice.randrange(256)
    return bytes(found)


def _double(dice: Random, text: str) -> bytes:
    """Repeat a key."""
    keys = re.findall(r'"\w+": ', text[:5000])
    key = dice.choice(keys) if keys else "{"
    return text.replace(key, f"{key}1, {key}", 1).encode()


def _huge(dice: Random, text: str) -> bytes:
    """Replace a number by one with many digits."""
    digits = "9" * dice.choice((20, 310, 4301, 20_000))
    return re.sub(r": [0-9.]+", f": {digits}", text, count=1).encode()


def _encode(dice: Random, text: str) -> bytes:
    return text.encode(dice.choice(("utf-16", "utf-32", "utf-8-sig", "utf-7")))


def _append(dice: Random, text: str) -> bytes:
    tail = dice.choice((b"]", b"{}", b"\x00", b"\xff\xfe", b"//", b" " * 5000))
    return text.encode() + tail


def _overlong(_: Random, text: str) -> bytes:
    """Insert bytes that are not UTF-8: a surrogate, an overlong NUL."""
    return text.encode().replace(b'"', b'"\xed\xa0\x80\xc0\x80', 1)


_TEXT: Final[tuple[Callable[[Random, str], bytes], ...]] = (_cut, _flip, _double, _huge, _encode, _append, _overlong)


def oversized(dice: Random) -> bytes:
    """Return an invalid body near the size limit, wrong in every item."""
    count = dice.choice((1000, 10_000, 100_000, 330_000))
    kind = dice.randrange(4)
    if kind == 0:
        items = ",".join(["{}"] * count)
        text = f'{{"version":"4","groupKey":"g","status":"firing","receiver":"r","alerts":[{items}]}}'
    elif kind == 1:
        text = f"{{{','.join(f'{chr(34)}{number}{chr(34)}:1' for number in range(min(count, 90_000)))}}}"
    elif kind == 2:
        text = f'{{"effect":{{"type":"error","body":{"[" * min(count, 400_000)}'
    else:
        text = f'{{"effect":{{"type":"error"}},"target":{{"routes":[{",".join(["1"] * min(count, 400_000))}]}}}}'
    return text.encode()[:999_000]
