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
    """Times become milliseconds, shares ratios; below the limit is met, the limit itself is not."""
    (found,) = MODULE.parse(text)
    assert (found.figure, found.limit) == (figure, limit)
    assert found.met(limit * 0.99)
    assert not found.met(limit)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p95", "'p95' is no condition such as p95<300ms"),
        ("p95<300", "p95 is a time: ms or s"),
        ("errors<3ms", "errors is a share: %"),
        ("p95<300ms,speed<3", "'speed<3' is no condition"),
    ],
)
def test_other_conditions_are_refused(text: str, message: str) -> None:
    """With the valid form."""
    with pytest.raises(ValueError, match=message):
        MODULE.parse(text)


def test_missed_requests_are_no_errors_of_the_service() -> None:
    """Locust lists them as failures without a request; the figures tell them apart."""
    entries = {
        1: SimpleNamespace(method="GET", num_failures=5),
        2: SimpleNamespace(method="MISSED", num_failures=50),
    }
    stats = SimpleNamespace(total=SimpleNamespace(num_requests=100), entries=entries)
    assert MODULE.figure("errors", stats, planned=150, missed=50) == 0.05
    assert MODULE.figure("missed", stats, planned=150, missed=50) == pytest.approx(1 / 3)
