import json
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaosapi.faults.receipt import Counts
from chaosapi.faults.sketch import ACCURACY, GAMMA, Sketch
from chaosapi.store.tallies import dump_counts, sum_counts

NUMBERS = st.lists(st.floats(1e-9, 1e9), min_size=1, max_size=200)
SHARES = (0.0, 0.01, 0.25, 0.5, 0.75, 0.95, 0.99, 1.0)
EDGE = 1e-9
"""Tolerance for floating-point rounding at the edge of a bucket."""


@given(NUMBERS)
def test_every_quantile_is_within_the_accuracy(numbers: list[float]) -> None:
    """Compared with the sorted numbers themselves, at the rank that is rounded down."""
    sketch = Sketch()
    for number in numbers:
        sketch.add(number)
    exact = np.quantile(numbers, SHARES, method="lower")
    assert sketch.quantiles(SHARES) == pytest.approx(exact.tolist(), rel=ACCURACY + EDGE)


@given(NUMBERS, NUMBERS)
def test_merged_sketches_are_exact(one: list[float], other: list[float]) -> None:
    """The merge of two replicas' sketches equals the sketch of one replica."""
    tallies = [Counts(), Counts()]
    whole = Counts()
    for tally, numbers in zip(tallies, (one, other), strict=True):
        for number in numbers:
            tally.record_delay(number, number)
            whole.record_delay(number, number)
    summed = sum_counts([dump_counts(tally) for tally in tallies])
    assert summed.delays
    assert whole.delays
    assert summed.delays.planned.buckets == whole.delays.planned.buckets
    assert summed.delays.planned.count == len(one) + len(other)


def test_the_error_bound_is_tight() -> None:
    """At the edges of a bucket the error reaches the bound."""
    for number in (GAMMA**100 * (1 + 1e-12), GAMMA**101 * (1 - 1e-12)):
        sketch = Sketch()
        sketch.add(number)
        assert abs(sketch.quantiles([0.5])[0] / number - 1) == pytest.approx(ACCURACY, rel=1e-6)


def test_zero_has_a_bucket() -> None:
    """Delays below the clock's resolution are in the same bucket."""
    sketch = Sketch()
    for number in (0.0, 1e-300, 2.0):
        sketch.add(number)
    assert (sketch.count, sketch.zeros, sketch.total) == (3, 2, 2.0)
    assert sketch.quantiles((0, 0.5, 1)) == pytest.approx([0, 0, 2.0], rel=ACCURACY)


def test_an_empty_sketch_has_quantiles_of_0() -> None:
    """The same as for delays of 0."""
    assert Sketch().quantiles(SHARES) == [0.0] * len(SHARES)


def test_a_sketch_is_read_while_another_thread_adds() -> None:
    """The snapshot is consistent."""
    tally = Counts()
    done = threading.Event()
    tally.record_delay(1.0, 1.0)

    def add() -> None:
        for exponent in range(-20_000, 20_000):
            tally.record_delay(1.0005**exponent, 1.0)
        done.set()

    thread = threading.Thread(target=add)
    thread.start()
    while not done.is_set():
        assert json.loads(dump_counts(tally))["delays"]["planned"]["bins"]
        assert tally.receipt(1).delay
    thread.join()


def test_the_memory_of_a_sketch_is_bounded() -> None:
    """Delays from a microsecond to a day: a bucket for each 0.4 %."""
    sketch = Sketch()
    for number in np.geomspace(1e-6, 86400, 100_000).tolist():
        sketch.add(number)
    assert len(sketch.buckets) < np.log(86400 / 1e-6) / np.log(GAMMA) + 2
