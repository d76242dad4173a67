"""W3C Trace Context: what is taken, what is refused, and what is passed on."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosapi import trace_context
from chaosapi.trace_context import TraceContext, current_trace, parse, received, trace_here

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
HEADER = f"00-{TRACE}-{SPAN}-01"
IDS = st.text("0123456789abcdef", min_size=32, max_size=32).filter(lambda digits: digits.strip("0"))
SPANS = st.text("0123456789abcdef", min_size=16, max_size=16).filter(lambda digits: digits.strip("0"))


@given(IDS, SPANS, st.booleans())
def test_a_context_survives_its_header(trace_id: str, span_id: str, sampled: bool) -> None:  # noqa: FBT001 - hypothesis passes it so
    context = TraceContext(trace_id, span_id, sampled)
    assert parse(context.headers["traceparent"].encode()) == context


@given(st.binary(max_size=80) | st.text("0123456789abcdefABCDEF-", max_size=60).map(str.encode))
def test_any_bytes_are_a_context_of_the_right_form_or_none(header: bytes) -> None:
    found = parse(header)
    if found:
        assert re.fullmatch("[0-9a-f]{32}", found.trace_id)
        assert re.fullmatch("[0-9a-f]{16}", found.span_id)


@pytest.mark.parametrize(
    "header",
    [
        "",
        HEADER.upper(),
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"{HEADER}-more",
        f"00-{TRACE}-{SPAN}",
        f"00-{TRACE}-{SPAN}-1",
        f" {HEADER}",
        f"{HEADER}\n",
    ],
)
def test_what_the_recommendation_refuses_is_no_context(header: str) -> None:
    assert parse(header.encode()) is None


@pytest.mark.parametrize(("flags", "sampled"), [("00", False), ("01", True), ("02", False), ("ff", True)])
def test_the_lowest_flag_is_whether_the_caller_records(flags: str, sampled: bool) -> None:  # noqa: FBT001 - a parameter
    found = parse(f"00-{TRACE}-{SPAN}-{flags}".encode())
    assert found == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize("more", ["", "-", "-what-the-future-will-bring"])
def test_the_fields_of_an_unknown_version_are_read_as_those_of_the_first(more: str) -> None:
    assert parse(f"cc-{TRACE}-{SPAN}-01{more}".encode()) == TraceContext(TRACE, SPAN, sampled=True)


def test_two_parents_are_none_and_the_state_goes_with_a_valid_parent_alone() -> None:
    parent = b"traceparent", HEADER.encode()
    state = [(b"tracestate", b"congo=t61rcWkgMzE"), (b"tracestate", b"rojo=00f067")]
    found = received([parent, *state])
    assert found
    assert found.headers == {"traceparent": HEADER, "tracestate": "congo=t61rcWkgMzE,rojo=00f067"}
    assert received([parent, parent, *state]) is None
    assert received(state) is None
    assert received([parent, (b"tracestate", b"a" * 513)]) == TraceContext(TRACE, SPAN, sampled=True)


def test_a_new_trace_has_ids_of_its_own_and_nobody_records_it() -> None:
    made = [trace_context.new() for _ in range(100)]
    assert len({each.trace_id for each in made}) == len({each.span_id for each in made}) == 100
    assert all(parse(each.headers["traceparent"].encode()) == each for each in made)
    assert not any(each.sampled for each in made)


def test_a_trace_is_made_once_where_it_is_needed() -> None:
    token = current_trace.set(None)
    try:
        assert trace_here() is trace_here() is current_trace.get()
    finally:
        current_trace.reset(token)
