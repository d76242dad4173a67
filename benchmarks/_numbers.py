"""Types of the benchmarks' options."""

import argparse
import math


def positive(text: str) -> float:
    """Read a number above 0; argparse.ArgumentTypeError where it is none."""
    try:
        number = float(text)
    except ValueError:
        number = 0
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return number


def count(text: str) -> int:
    """Read a whole number from 1 on; argparse.ArgumentTypeError where it is none."""
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)
