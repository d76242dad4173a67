import runpy
from typing import Any

import pytest

from chaosapi import assets

# Read as a file: Locust's folder is no package, and its public file would load Locust into this process.
SCENARIOS: dict[str, Any] = runpy.run_path(str(assets.path("loadtests") / "_scenarios.py"))["SCENARIOS"]


def test_steady_never_changes() -> None:
    """The steady scenario asks for its rate from the first moment to the last."""
    steady = SCENARIOS["steady"](rate=20, peak=100, duration=60)
    assert {steady.rate_at(second / 10) for second in range(600)} == {20}


def test_spike_peaks_in_the_middle_third() -> None:
    """The spike scenario asks for its peak in the middle third, bounds included below and excluded above."""
    spike = SCENARIOS["spike"](rate=20, peak=100, duration=90)
    assert [spike.rate_at(t) for t in (0, 29.9, 30, 59.9, 60, 89.9)] == [20, 20, 100, 100, 20, 20]


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("steady", {"rate": 0}, "the rate is 0 requests/s; it must be at least 1"),
        ("steady", {"duration": 0}, "the duration is 0 s; it must be longer than 0 s"),
        ("spike", {"peak": 20}, "the peak is 20 requests/s; it must be above the rate, 20"),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, numbers: dict[str, int], message: str) -> None:
    """A scenario says which number is wrong and what would be right."""
    with pytest.raises(ValueError, match=message):
        SCENARIOS[name](**{"rate": 20, "peak": 100, "duration": 60, **numbers})


def test_steady_has_no_use_for_a_peak() -> None:
    """A rate above the default peak is fine where there is no spike."""
    assert SCENARIOS["steady"](rate=200, peak=100, duration=60).rate_at(0) == 200
