"""Match predicted episodes with recorded ones."""

from collections.abc import Sequence

from chaosapi.forecast.episodes import Episode

Match = tuple[Episode | None, Episode | None]
"""A predicted and a recorded episode; None: no counterpart."""


def match_episodes(predicted: Sequence[Episode], recorded: Sequence[Episode], slack: int) -> list[Match]:
    """Match episodes that fire, both in order of time, if they overlap or are at most `slack` milliseconds apart."""
    left = [each for each in predicted if each.firing is not None]
    right = [each for each in recorded if each.firing is not None]
    found: list[Match] = []
    while left and right:
        if _is_before(left[0], right[0], slack):
            found.append((left.pop(0), None))
        elif _is_before(right[0], left[0], slack):
            found.append((None, right.pop(0)))
        else:
            found.append((left.pop(0), right.pop(0)))
    return [*found, *((each, None) for each in left), *((None, each) for each in right)]


def _is_before(one: Episode, other: Episode, slack: int) -> bool:
    if one.resolved is None or other.firing is None:
        return False
    return one.resolved + slack < other.firing
