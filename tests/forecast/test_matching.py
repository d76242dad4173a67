from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.matching import match_episodes


def fires(start: int, end: int | None) -> Episode:
    """Return an episode of an alert without `for`."""
    return Episode(start, start, end)


def test_overlapping_episodes_are_matched() -> None:
    """The second actual episode has no forecast, the last forecast has no actual episode."""
    said = [fires(0, 10), fires(50, 60), fires(90, None)]
    fact = [fires(2, 12), fires(30, 35), fires(61, 70)]
    assert match_episodes(said, fact, slack=1) == [
        (said[0], fact[0]),
        (None, fact[1]),
        (said[1], fact[2]),
        (said[2], None),
    ]


def test_pending_episodes_are_ignored() -> None:
    """A pending alert is not firing."""
    assert match_episodes([Episode(0, None, 5)], [Episode(0, None, None)], slack=1) == []


def test_a_continuous_episode_matches_one_forecast() -> None:
    """Of two forecast episodes, the first matches the continuous one and the second is missed."""
    said = [fires(0, 10), fires(20, 30)]
    assert match_episodes(said, [fires(0, 30)], slack=1) == [(said[0], fires(0, 30)), (said[1], None)]
