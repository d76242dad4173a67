from types import SimpleNamespace
from typing import Any

import pytest

from tests.loadtests.pure import module

MODULE: Any = module("_expect")


@pytest.mark.parametrize(
    ("text", "figure", "limit"),
    [
        ("p95<300ms", "p95", 300),
        ("p99.9 < 2s", "p99.9", 2000),
        ("errors<1%", "errors", 0.01),
        ("missed<0.5", "missed", 0.5),
    ],
)
def test_conditions_are_read(text: str, figure: str, limit: float) -> None:
    """Times become milliseconds, shares ratios."""
    (found,) = MODULE.parse(text)
    assert (found.figure, found.limit) == (figure, limit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p95", "'p95' is no condition such as p95<300ms"),
        ("p95<300", "p95 is a time: ms or s"),
        ("errors<3ms", "errors is a share: %"),
        ("p95<300ms,speed<3", "'speed<3' is no condition"),
        (" , ", "has no condition such as p95<300ms"),
    ],
)
def test_other_conditions_are_refused(text: str, message: str) -> None:
    """With the valid form."""
    with pytest.raises(ValueError, match=message):
        MODULE.parse(text)


def run(requests: int = 100, answered: int = 100, **more: Any) -> Any:
    """Return a run of so many requests that took 10 ms each; five failed, and fifty of 150 planned ones were missed."""
    entries = {
        1: SimpleNamespace(method="GET", num_failures=5),
        2: SimpleNamespace(method="MISSED", num_failures=50),
    }
    total = SimpleNamespace(num_requests=100, max_response_time=10, get_response_time_percentile=lambda _: 10)
    stats = SimpleNamespace(total=total, entries=entries)
    return MODULE.Measured(stats, requests, answered, **{"planned": 150, "missed": 50, **more})


def judged(text: str, measured: Any) -> list[tuple[bool, str]]:
    """Return the verdicts on conditions."""
    return [tuple(each) for each in MODULE.judge(MODULE.parse(text), measured)]


def test_missed_requests_are_no_errors_of_the_service() -> None:
    """Locust lists them as failures without a request; the figures tell them apart."""
    assert MODULE.figure("errors", run()) == 0.05
    assert MODULE.figure("missed", run()) == pytest.approx(1 / 3)


def test_a_condition_is_met_below_its_limit() -> None:
    """At the limit it is not; each verdict has the figure."""
    assert judged("p95<11ms,p95<10ms,missed<50%,missed<0.3", run()) == [
        (True, "met: p95<11ms (it was 10 ms)"),
        (False, "NOT met: p95<10ms (it was 10 ms)"),
        (True, "met: missed<50% (it was 33.33%)"),
        (False, "NOT met: missed<0.3 (it was 33.33%)"),
    ]


@pytest.mark.parametrize(
    ("condition", "measured", "reason"),
    [
        ("missed<1%", {"planned": 0, "missed": 0}, "only a scenario in the open model plans requests"),
        ("errors<1%", {"requests": 0, "answered": 0}, "no request ended"),
        ("p95<5s", {"requests": 0, "answered": 0}, "no request ended"),
        ("max<5s", {"answered": 0}, "no request was answered"),
        ("errors<9%", {"requests": 101}, "the statistics were reset: they have 100 of 101 requests"),
        ("p95<5s", {"requests": 101}, "the statistics were reset: they have 100 of 101 requests"),
    ],
)
def test_what_was_not_measured_is_not_met(condition: str, measured: dict[str, int], reason: str) -> None:
    """With the reason."""
    assert judged(condition, run(**measured)) == [(False, f"NOT met: {condition} (not measured: {reason})")]


def test_a_run_that_was_cut_short_meets_nothing_but_what_it_missed() -> None:
    """The share of missed requests is known for the whole plan; a whole run might have been slower."""
    assert judged("p95<5s,missed<50%", run(cut_short="it ended after 3 of 9 s: SIGTERM")) == [
        (False, "NOT met: p95<5s (it was 10 ms until the run ended early)"),
        (True, "met: missed<50% (it was 33.33%)"),
        (False, "NOT met: a whole run (it ended after 3 of 9 s: SIGTERM)"),
    ]
