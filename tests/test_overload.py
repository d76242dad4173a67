import math

import pytest

from chaosapi.overload import Signs, queries, reasons, window_s


@pytest.mark.parametrize(
    ("signs", "expected"),
    [
        (Signs(), []),
        (Signs(0.1, 0.5, 0.1), []),
        (Signs(loop_lag_s=0.31), ["the service's event loop is 310 ms late"]),
        (Signs(slow_scrape_s=0.87), ["scrapes take up to 0.87 s of every 1 s"]),
        (Signs(missing_ratio=0.4), ["40% of the scrapes are missing"]),
    ],
)
def test_each_sign_above_its_limit_is_a_reason(signs: Signs, expected: list[str]) -> None:
    """A sign that is unknown is none."""
    assert reasons(signs, 1) == expected


def test_a_long_interval_has_slower_scrapes_and_a_longer_window() -> None:
    """Production scrapes every 15 s: a scrape of 1 s is no sign."""
    assert reasons(Signs(slow_scrape_s=1), 15) == []
    assert window_s(15) == 150
    assert all("[150s]" in query for query in queries("shop", 15).values())


def test_a_result_that_is_no_number_is_no_sign() -> None:
    """Prometheus returns NaN for a quantile without samples."""
    assert Signs.from_results({"loop_lag_s": math.nan, "missing_ratio": 0.2}) == Signs(missing_ratio=0.2)
    assert queries("shop", 1).keys() == vars(Signs()).keys()
