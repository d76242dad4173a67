from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.notifications import Notification, notifications


def _times(notices: list[Notification]) -> list[tuple[int | None, int | None]]:
    return [(notice.fired, notice.resolved) for notice in notices]


def test_the_first_alert_waits_for_group_wait_and_later_ones_for_the_next_flush() -> None:
    """group_wait 10, group_interval 60: the second pair of the same SLO is notified with the next flush."""
    assert _times(notifications([Episode(0, 0, 100), Episode(5, 5, 200)], 10, 60)) == [(10, 130), (10, 250)]
    assert _times(notifications([Episode(0, 0, None), Episode(20, 20, None)], 10, 60)) == [(10, None), (70, None)]


def test_an_alert_that_ends_before_the_flush_is_never_notified() -> None:
    """The next alert starts a new group."""
    assert _times(notifications([Episode(0, 0, 5), Episode(100, 100, 150)], 10, 60)) == [(None, None), (110, 170)]


def test_an_inhibited_alert_is_notified_after_the_page() -> None:
    """At the next flush; an alert that ends before is never notified."""
    page = [Episode(0, 0, 100)]
    assert _times(notifications([Episode(20, 20, 300), Episode(20, 20, 90)], 10, 60, page)) == [
        (150, 330),
        (None, None),
    ]


def test_an_endless_page_inhibits_for_ever() -> None:
    """The computation does not wait for its end."""
    assert _times(notifications([Episode(20, 20, None)], 10, 60, [Episode(0, 0, None)])) == [(None, None)]


def test_pending_alerts_are_not_notified() -> None:
    """Prometheus sends only firing alerts to Alertmanager."""
    assert notifications([Episode(0, None, 10)], 10, 60) == []
