import argparse

import pytest

from tests.benchmarks.pure import module

numbers = module("_numbers")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", ""])
def test_what_is_not_above_nothing_is_refused(text: str) -> None:
    """It says so, where a traceback came from a median of nothing before."""
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        numbers.positive(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "²", "many", ""])
def test_a_count_is_a_whole_number(text: str) -> None:
    """There is no half of a round."""
    with pytest.raises(argparse.ArgumentTypeError, match="whole number from 1 on"):
        numbers.count(text)


def test_numbers_are_read() -> None:
    """The rest is a number."""
    assert numbers.positive("0.5") == 0.5
    assert numbers.count("12") == 12
