"""The trace that Locust begins for each request."""

from chaosapi.trace_context import parse
from tests.loadtests.pure import module

trace = module("_trace")


def test_each_request_has_a_trace_of_its_own_that_is_recorded() -> None:
    made = [parse(trace.traceparent(f"steady-7-{number}").encode()) for number in range(100)]
    assert all(each and each.sampled for each in made)
    assert len({each.trace_id for each in made if each}) == 100


def test_retries_are_spans_of_their_requests_trace() -> None:
    first, *retries = [trace.traceparent(f"steady-7-3{end}").split("-") for end in ("", "-r1", "-r2")]
    assert {each[1] for each in retries} == {first[1]}
    assert len({each[2] for each in (first, *retries)}) == 3


def test_two_runs_of_one_seed_have_traces_of_their_own() -> None:
    assert trace.traceparent("steady-7-3", b"a") != trace.traceparent("steady-7-3", b"b")
