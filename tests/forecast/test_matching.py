from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.matching import match_episodes


def fires(start: int, end: int | None) -> Episode:
    """Make an episode of an alert without `for`."""
    return Episode(start, start, end)


def test_what_overlaps_is_the_same() -> None:
    """The second was not said, the last did not come."""
    said = [fires(0, 10), fires(50, 60), fires(90, None)]
    fact = [fires(2, 12), fires(30, 35), fires(61, 70)]
    assert match_episodes(said, fact, slack=1) == [
        (said[0], fact[0]),
        (None, fact[1]),
        (said[1], fact[2]),
        (said[2], None),
    ]


def test_what_never_fired_is_left_out() -> None:
    """Pending is no alarm."""
    assert match_episodes([Episode(0, None, 5)], [Episode(0, None, None)], slack=1) == []


def test_one_that_went_on_is_one() -> None:
    """Said to come twice, it came once and stayed: the second did not come."""
    said = [fires(0, 10), fires(20, 30)]
    assert match_episodes(said, [fires(0, 30)], slack=1) == [(said[0], fires(0, 30)), (said[1], None)]
