import numpy as np

from chaosapi.forecast import episodes
from chaosapi.forecast.episodes import Episode

TIMES = np.arange(8, dtype=np.int64) * 10


def _of(pattern: str, pending_for: int = 0) -> list[Episode]:
    return episodes.find_episodes(np.array([each == "#" for each in pattern]), TIMES, pending_for)


def test_an_episode_lasts_while_the_condition_holds() -> None:
    """Without `for` it starts at once; a condition that holds at the horizon is not resolved."""
    assert _of(".##.#...") == [Episode(10, 10, 30), Episode(40, 40, 50)]
    assert _of("......##") == [Episode(60, 60, None)]
    assert _of("........") == []


def test_for_requires_a_duration() -> None:
    """A too short episode never fires; a `for` between two evaluations waits for the later one."""
    assert _of(".##.####", 15) == [Episode(10, None, 30), Episode(40, 60, None)]
