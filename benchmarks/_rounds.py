"""The order of the candidates in each round."""

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def order(everyone: Iterable[T], number: int) -> list[T]:
    """Return the order of a round, rotated so that no candidate is always first or last."""
    names = list(everyone)
    first = number % len(names)
    return names[first:] + names[:first]
