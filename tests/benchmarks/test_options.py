import argparse

import pytest

from tests.benchmarks.pure import module

options = module("_options")


@pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "many", ""])
def test_what_is_not_above_nothing_is_refused(text: str) -> None:
    """It says so, where a traceback came from a median of nothing before."""
    with pytest.raises(argparse.ArgumentTypeError, match="above 0"):
        options.positive(text)


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "²", "many", ""])
def test_a_count_is_a_whole_number(text: str) -> None:
    """There is no half of a round."""
    with pytest.raises(argparse.ArgumentTypeError, match="whole number from 1 on"):
        options.count(text)


def test_numbers_are_read() -> None:
    """The rest is a number."""
    assert options.positive("0.5") == 0.5
    assert options.count("12") == 12
