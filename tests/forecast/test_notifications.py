from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.notifications import Notification, notifications


def _times(notices: list[Notification]) -> list[tuple[int | None, int | None]]:
    return [(notice.fired, notice.resolved) for notice in notices]


def test_the_first_alert_waits_and_later_ones_join_the_next_flush() -> None:
    """group_wait 10 after the first, then every 60: the second pair of the same SLO is told with the next flush."""
    assert _times(notifications([Episode(0, 0, 100), Episode(5, 5, 200)], 10, 60)) == [(10, 130), (10, 250)]
    assert _times(notifications([Episode(0, 0, None), Episode(20, 20, None)], 10, 60)) == [(10, None), (70, None)]


def test_what_is_over_before_the_flush_is_never_told() -> None:
    """And the next alert begins a new group."""
    assert _times(notifications([Episode(0, 0, 5), Episode(100, 100, 150)], 10, 60)) == [(None, None), (110, 170)]


def test_a_muted_alert_is_told_once_the_page_is_over() -> None:
    """At the next flush; one that ends before is never told."""
    page = [Episode(0, 0, 100)]
    assert _times(notifications([Episode(20, 20, 300), Episode(20, 20, 90)], 10, 60, page)) == [
        (150, 330),
        (None, None),
    ]


def test_an_endless_page_mutes_for_good() -> None:
    """Nothing is waited for that cannot come."""
    assert _times(notifications([Episode(20, 20, None)], 10, 60, [Episode(0, 0, None)])) == [(None, None)]


def test_what_only_pends_is_nobodys_business() -> None:
    """Alertmanager hears of firing alerts only."""
    assert notifications([Episode(0, None, 10)], 10, 60) == []
