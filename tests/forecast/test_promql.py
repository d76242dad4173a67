import numpy as np
import pytest

from chaosapi.forecast.counters import Counter
from chaosapi.forecast.promql import Range

SECONDS = np.arange(0, 101, dtype=np.int64) * 1000


def _rate(values: list[float], at: int, length: int, *, prometheus: int = 3, born: int = 0) -> float:
    window = Range(SECONDS[: len(values)], np.array([at]), length, 2 if prometheus == 2 else 3)
    return float(window.rate(Counter(np.array(values, dtype=np.float64), born))[0])


def test_a_steady_counter_has_its_true_rate() -> None:
    """For left-open and closed windows, extrapolation compensates the missing edge."""
    values = [1000.0 + 3 * second for second in range(60)]
    assert _rate(values, 50_000, 10_000) == pytest.approx(3)
    assert _rate(values, 50_000, 10_000, prometheus=2) == pytest.approx(3)


def test_a_counter_is_not_extrapolated_beyond_zero() -> None:
    """The first of ten samples is 0: a growth of 9 s over a window of 10 s."""
    values = [0.0] * 42 + [float(second) for second in range(1, 20)]
    assert _rate(values, 50_000, 10_000) == pytest.approx(0.9)


def test_a_window_from_before_the_first_sample_adds_half_an_interval() -> None:
    """Samples at 0 … 5 s in a window of 20 s: 5 s of growth and half a second more."""
    values = [100.0 + second for second in range(6)]
    assert _rate(values, 5000, 20_000) == pytest.approx(5.5 / 20)


def test_one_sample_gives_no_rate() -> None:
    """A series that starts at this scrape is absent from rate()."""
    values = [0.0] * 10 + [5.0, 6.0]
    assert np.isnan(_rate(values, 10_000, 5000, born=10))
    assert _rate(values, 11_000, 5000, born=10) > 0
