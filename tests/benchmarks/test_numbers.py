import argparse

import pytest

from tests.benchmarks.pure import module

numbers = module("_numbers")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", ""])
def test_numbers_must_be_positive(text: str) -> None:
    """With an error, instead of a traceback from the median of nothing."""
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        numbers.positive(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "²", "many", ""])
def test_a_count_is_a_whole_number(text: str) -> None:
    """A fraction is refused."""
    with pytest.raises(argparse.ArgumentTypeError, match="whole number from 1 on"):
        numbers.count(text)


def test_numbers_are_read() -> None:
    """Positive numbers are parsed."""
    assert numbers.positive("0.5") == 0.5
    assert numbers.count("12") == 12
