"""Types of the benchmarks' options."""

import argparse
import math


def positive(text: str) -> float:
    """Return the text as a number above 0; raises argparse.ArgumentTypeError for any other text."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def count(text: str) -> int:
    """Return the text as an integer above 0; raises argparse.ArgumentTypeError for any other text."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)
