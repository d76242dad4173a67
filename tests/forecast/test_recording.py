import numpy as np
import pytest

from chaosapi.forecast import recording
from chaosapi.forecast.episodes import Episode
from chaosapi.forecast.promql import Range
from chaosapi.forecast.recording import RecordedSeries


def series(times: list[int], values: list[float], **labels: str) -> RecordedSeries:
    """Return a series of seconds and values."""
    return RecordedSeries(labels, np.array(times, dtype=np.int64) * 1000, np.array(values, dtype=np.float64))


def alerts(state: str, *times: int, **labels: str) -> RecordedSeries:
    """Return a series of ALERTS."""
    return series(list(times), [1.0] * len(times), alertstate=state, **labels)


def test_a_counter_reset_is_added_up() -> None:
    """A falling counter restarted at 0: 10 to 20, then 5 gives 15 in ten seconds."""
    found = series([0, 10, 20], [10, 20, 5])
    window = Range(found.times, np.array([20_000]), 10_001, prometheus=3)
    assert window.rate(found.counter) == pytest.approx(5 / 10, rel=1e-3)
    whole = Range(found.times, np.array([20_000]), 20_001, prometheus=3)
    assert whole.rate(found.counter) == pytest.approx(15 / 20, rel=1e-3)


def test_an_alert_ends_an_evaluation_after_its_last_sample() -> None:
    """Two episodes, the second still firing at the end; pending samples do not count as firing."""
    found = [alerts("pending", 10, 11), alerts("firing", 12, 13, 20, 21, 22)]
    first, second = recording.episodes(found, 1000, 22_500)
    assert first == Episode(10_000, 12_000, 14_000)
    assert second == Episode(20_000, 20_000, None)


def test_an_alert_that_was_only_pending_has_not_fired() -> None:
    """The condition held for less than `for`."""
    assert recording.episodes([alerts("pending", 1, 2)], 1000, 9000) == [Episode(1000, None, 3000)]
    assert recording.episodes([], 1000, 9000) == []


def test_alerts_are_distinguished_by_their_labels() -> None:
    """`alertstate` is not one of them."""
    found = [alerts("pending", 1, slo="a"), alerts("firing", 2, slo="a"), alerts("firing", 2, slo="b")]
    assert recording.alerts(found, 1000, 9000) == [
        ({"slo": "a"}, [Episode(1000, 2000, 3000)]),
        ({"slo": "b"}, [Episode(2000, 2000, 3000)]),
    ]
