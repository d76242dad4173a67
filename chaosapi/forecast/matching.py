"""Which of the episodes that were said to come are which of those that came."""

from collections.abc import Sequence

from chaosapi.forecast.episodes import Episode

Match = tuple[Episode | None, Episode | None]
"""Said and fact; None: there is none."""


def match_episodes(said: Sequence[Episode], fact: Sequence[Episode], slack: int) -> list[Match]:
    """Match episodes that fire, both in the order of time: those that overlap, or nearly so by `slack` milliseconds."""
    left, right = ([each for each in both if each.firing is not None] for both in (said, fact))
    found: list[Match] = []
    while left and right:
        one = left[0]
        other = right[0]
        if _before(one, other, slack):
            found.append((left.pop(0), None))
        elif _before(other, one, slack):
            found.append((None, right.pop(0)))
        else:
            found.append((left.pop(0), right.pop(0)))
    return [*found, *((each, None) for each in left), *((None, each) for each in right)]


def _before(one: Episode, other: Episode, slack: int) -> bool:
    assert other.firing is not None  # noqa: S101 - only those that fire get here; this tells mypy
    return one.resolved is not None and one.resolved + slack < other.firing
