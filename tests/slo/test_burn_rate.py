import math

import pytest

from chaosapi.slo import burn_rate, windows

HOUR = 3600.0


def next_step(seconds: float, step: float) -> float:
    """Return the first evaluation after a moment, on a grid of `step` seconds."""
    return (math.floor(seconds / step) + 1) * step


@pytest.mark.parametrize(
    ("pair", "predicted", "fired"), [(0, 518.4, 540), (1, 1296, 1320), (2, 2592, 2640), (3, 2592, 2640)]
)
def test_detection_with_full_history_is_what_promtool_measured(pair: int, predicted: float, fired: float) -> None:
    """SLO 99.9 %, 10 % errors, days of history, a step of 60 s: it fired at the evaluation after the formula's time."""
    watched = windows.load("production").pairs[pair]
    detection = burn_rate.detection(error_ratio=0.1, budget=0.001, factor=watched.factor, long=watched.long)
    assert detection == pytest.approx(predicted)
    assert next_step(detection, 60) == fired


@pytest.mark.parametrize(("factor", "long", "fired"), [(14.4, 300, 220), (6, 1800, 545)])
def test_detection_of_shorter_windows_is_what_promtool_measured(factor: float, long: float, fired: float) -> None:
    """Windows of a twelfth, SLO 99 %, 20 % errors, a step of 5 s."""
    assert next_step(burn_rate.detection(error_ratio=0.2, budget=0.01, factor=factor, long=long), 5) == fired


def test_with_a_short_history_tickets_fire_before_pages() -> None:
    """With 5 minutes of history, SLO 99 % and 30 % errors, promtool saw tickets first (step 15 s)."""
    fired = [
        next_step(burn_rate.detection(error_ratio=0.3, budget=0.01, factor=p.factor, long=p.long, history=300), 15)
        for p in windows.load("production").pairs
    ]
    assert fired == [285, 90, 45, 15]


def test_without_history_all_alerts_fire_at_once() -> None:
    """Every window contains only the first bad request then."""
    pairs = windows.load("production").pairs
    assert {
        burn_rate.detection(error_ratio=1, budget=0.001, factor=p.factor, long=p.long, history=0) for p in pairs
    } == {0}


def test_an_outage_with_seeded_history_pages_in_a_minute_and_before_any_ticket() -> None:
    """The production windows, a 99.9 % SLO, everything fails: 52 s, 130 s, then the tickets at 259 s."""
    pairs = windows.load("production").pairs
    times = [burn_rate.detection(error_ratio=1, budget=0.001, factor=p.factor, long=p.long) for p in pairs]
    assert times == pytest.approx([51.84, 129.6, 259.2, 259.2])


@pytest.mark.parametrize("error_ratio", [0.0, 0.01, 0.0144])
def test_too_few_errors_never_fire(error_ratio: float) -> None:
    """At the threshold or below it, with any history, the detection time is infinite."""
    for history in (0.0, HOUR, math.inf):
        assert (
            burn_rate.detection(error_ratio=error_ratio, budget=0.001, factor=14.4, long=HOUR, history=history)
            == math.inf
        )


def test_history_beyond_the_window_has_no_effect() -> None:
    """The formulas for partial and full history agree when the window is full."""
    full = burn_rate.detection(error_ratio=0.1, budget=0.001, factor=14.4, long=HOUR)
    for history in (HOUR - full, HOUR, 10 * HOUR):
        part = burn_rate.detection(error_ratio=0.1, budget=0.001, factor=14.4, long=HOUR, history=history)
        assert part == pytest.approx(full)
    assert burn_rate.detection(error_ratio=0.1, budget=0.001, factor=14.4, long=HOUR, history=HOUR / 2) < full


def test_a_total_outage_resets_almost_a_short_window_later() -> None:
    """The higher the error ratio, the more of the short window must pass; at the threshold, none."""
    assert burn_rate.reset(error_ratio=1, budget=0.001, factor=14.4, short=300) == pytest.approx(295.68)
    assert burn_rate.reset(error_ratio=0.0144, budget=0.001, factor=14.4, short=300) == pytest.approx(0)


def test_the_burn_rates_are_the_sre_workbooks() -> None:
    """2 % in 1 h, 5 % in 6 h and 10 % in 3 d of 30 d are burn rates 14.4, 6 and 1, and back."""
    period = 720 * HOUR
    for share, hours, factor in ((0.02, 1, 14.4), (0.05, 6, 6), (0.1, 72, 1)):
        assert burn_rate.factor(share, hours * HOUR, period) == pytest.approx(factor)
        assert burn_rate.spent(factor, hours * HOUR, period) == pytest.approx(share)


def test_the_time_to_exhaustion_is_the_period_over_the_burn_rate() -> None:
    """A total outage under 99.9 % spends the budget of 30 days in 43 minutes; without errors it lasts for ever."""
    assert burn_rate.exhaustion(burn_rate.burn(1, 0.001), 720 * HOUR) == pytest.approx(2592)
    assert burn_rate.exhaustion(0, 720 * HOUR) == math.inf


def test_below_69_requests_one_failure_exceeds_the_threshold() -> None:
    """The fastest pair of a 99.9 % SLO needs 69 requests in its window for one failure to be below its threshold."""
    assert math.floor(burn_rate.fewest_requests(14.4, 0.001)) == 69
