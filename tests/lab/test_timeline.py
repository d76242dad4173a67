from chaosapi.lab import timeline
from chaosapi.lab.timeline import ExpectedAlert
from chaosapi.slo.windows import WindowPair

PAGE = ExpectedAlert("availability", WindowPair("page", 60, 5, 14.4))
LABELS = {"alertname": "ErrorBudgetBurn", "slo": "availability", "severity": "page", "long_window": "1m"}


def test_the_first_bad_scrape() -> None:
    """It has the first growth of any error counter after the injection."""
    series = [[(1, 5), (2, 6), (3, 6), (4, 7)], [(1, 0), (2, 0), (3, 0), (4, 0), (5, 1)]]
    assert timeline.first_rise(series, after=2.5) == 4
    assert timeline.first_rise(series, after=4.5) == 5
    assert timeline.first_rise(series, after=5) is None


def test_the_span_of_an_alert() -> None:
    """From its first to its last evaluation since the injection."""
    assert timeline.first_and_last([[(1, 1), (7, 1)], [(8, 1), (9, 1)]], after=5) == (7, 9)
    assert timeline.first_and_last([], after=5) is None


def test_only_the_expected_alert_counts_as_received() -> None:
    """Another window pair, SLO or status, and an older notification, do not count."""

    def alert(told: int, resolved: int | None = None, **labels: str) -> dict[str, object]:
        moments = (None if each is None else f"1970-01-01T00:00:{each:02}Z" for each in (told, resolved))
        return dict(zip(("received_at", "resolved_received_at"), moments, strict=True)) | {"labels": LABELS | labels}

    others = [alert(2, 21), alert(20, 25, long_window="6m"), alert(22, 26, slo="latency")]
    assert timeline.received(others, PAGE, "firing", after=10) is None
    assert timeline.received([alert(31), alert(30), *others], PAGE, "firing", after=10) == 30
    assert timeline.received([alert(31), *others], PAGE, "resolved", after=10) == 21
    assert timeline.received([alert(31)], PAGE, "resolved", after=10) is None
