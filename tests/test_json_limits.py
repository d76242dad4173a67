import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosapi import json_limits
from chaosapi.errors import BadRequest, ChaosError, Invalid, TooLarge
from chaosapi.json_limits import JsonLimits

TINY = JsonLimits(depth=3, values=6, size=100)

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=30,
)


def values(document: Any) -> int:
    """Return the number of values in a document, itself included."""
    children = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
    return 1 + sum(map(values, children))


def depth(document: Any) -> int:
    """Return the depth of objects and lists."""
    if not isinstance(document, dict | list):
        return 0
    return 1 + max(map(depth, document.values() if isinstance(document, dict) else document), default=0)


@given(document=JSON, style=st.sampled_from([{}, {"ensure_ascii": False}, {"indent": 1}]))
def test_json_within_the_budget_is_parsed(document: Any, style: dict[str, Any]) -> None:
    """With any text: quotes, backslashes, brackets, commas."""
    body = json.dumps(document, **style).encode()
    assert json_limits.read(body, JsonLimits(depth=depth(document), values=values(document))) == document


@given(document=JSON)
def test_json_beyond_the_budget_is_refused_with_the_exceeded_limit(document: Any) -> None:
    """A limit of one level or one value less refuses it."""
    body = json.dumps(document).encode()
    if (levels := depth(document)) > 0:
        shallow = JsonLimits(depth=levels - 1, values=1000)
        with pytest.raises(Invalid, match=f"more than {levels - 1} levels"):
            json_limits.read(body, shallow)
        with pytest.raises(Invalid, match=f"more than {levels - 1} levels"):
            json_limits.check(document, shallow)
    with pytest.raises(Invalid, match="values, which is the most"):
        json_limits.read(body, JsonLimits(depth=100, values=values(document) - 1))


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"[" + b"1," * 60 + b"1]", TooLarge, "more than 100 bytes"),
        (b"[[[[]]]]", Invalid, "more than 3 levels"),
        (b"[1,1,1,1,1,1,1]", Invalid, "more than 6 values"),
        (b"[{},{},{},{},{},{}]", Invalid, "more than 6 values"),
        (b"[[", BadRequest, "brackets do not match"),
        (b"[}", BadRequest, "brackets do not match"),
        (b'["a', BadRequest, "brackets do not match"),
        (b"nothing", BadRequest, "not JSON"),
        (b"[1] 2", BadRequest, "not JSON"),
        (b"9" * 90 + b"e", BadRequest, "not JSON"),
        ('{"a": 1}'.encode("utf-16"), BadRequest, "not UTF-8"),
        ('{"a": 1}'.encode("utf-16-le"), BadRequest, "zero bytes"),
        ('{"a": 1}'.encode("utf-32-be"), BadRequest, "zero bytes"),
        (b'["\xff"]', BadRequest, "not UTF-8"),
        (b'["\xed\xa0\x80"]', BadRequest, "not UTF-8"),
        (b'{"a": [1, NaN]}', Invalid, "a.1: a number is finite"),
        (b'{"a": -Infinity}', Invalid, "a: a number is finite"),
        (b'{"a": 1e999}', Invalid, "a: a number is finite"),
        (b'{"a": {"b": 18446744073709551616}}', Invalid, "a.b: a whole number has at most 64 bits"),
        (b"-9223372036854775809", Invalid, "body: a whole number has at most 64 bits"),
        (b'{"a": ["\\ud800"]}', Invalid, "a.0: this text has a lone surrogate"),
        (b'{"a": {"\\uDFFF": 1}}', Invalid, "a: the name of a field has a lone surrogate"),
        (b'{"a": "\\udc00\\ud800"}', Invalid, "a: this text has a lone surrogate"),
        (b'{"a": {"b": 1, "b": 2}}', Invalid, "b: this key is there twice"),
        (b'{"\\u0062": 1, "b": 2}', Invalid, "b: this key is there twice"),
    ],
    ids=str,
)
def test_an_unacceptable_body_is_refused_with_the_reason(body: bytes, kind: type[ChaosError], says: str) -> None:
    """With the field, if there is one."""
    with pytest.raises(kind) as caught:
        json_limits.read(body, TINY)
    assert type(caught.value) is kind
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("body", "document"),
    [
        (b'"\\ud83d\\ude00"', "\U0001f600"),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b'["[[[[[[[{{{,,,,,,,,\\"[[[\\\\"]', ['[[[[[[[{{{,,,,,,,,"[[[\\']),
        (b"18446744073709551615", 2**64 - 1),
        (b"0", 0),
    ],
)
def test_valid_json_that_looks_excessive_is_parsed(body: bytes, document: Any) -> None:
    """Surrogate pairs, a byte order mark, brackets and commas in texts."""
    assert json_limits.read(body, TINY) == document


@pytest.mark.parametrize("unit", [b"[", b"{}", b'"",', b"{},", b'{"a":[],"b":0},', b"1,"])
def test_an_excessive_body_is_refused_before_objects_are_built(unit: bytes) -> None:
    """A megabyte of small values would take tens of megabytes as objects."""
    body = b"[" + unit * (999_000 // len(unit)) + b"0]"
    tracemalloc.start()
    try:
        with pytest.raises(ChaosError):
            json_limits.read(body, json_limits.FAULT)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * len(body)


def test_a_refusal_lists_some_errors_and_counts_the_rest() -> None:
    """For any body the response is short UTF-8."""
    error = json_limits.refusal([("x" * 5000, "\ud800\x1b" * 5000)] * 20, more=330_000)
    assert len(json.dumps([str(error), error.errors], ensure_ascii=False).encode()) < 16_000
    assert str(error).endswith("; and 330,000 more")


@given(text=st.text(st.characters()), most=st.integers(10, 50))
def test_shown_text_is_short_and_encodable(text: str, most: int) -> None:
    """Short valid text is unchanged."""
    shown = json_limits.shown(text, most)
    assert len(shown.encode()) <= most
    assert shown.isprintable() or any(not char.isprintable() for char in text)
    if text.isascii() and text.isprintable() and len(text) <= most:
        assert shown == text
