"""Forecasts with a recorded history."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import yaml

from chaosapi import errors
from chaosapi.faults.fault import Fault
from chaosapi.forecast import inverse, timetable
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.monitoring import default_monitoring
from chaosapi.forecast.past import Past, fill_in
from chaosapi.forecast.recording import RecordedSeries, since_pause
from chaosapi.forecast.result import ForecastAlert
from chaosapi.forecast.traffic import Traffic, answer_times
from chaosapi.slo import spec, windows

LAB = windows.load("lab")
TIMES = np.arange(-5000, 1, dtype=np.int64) * 1000
SECONDS = TIMES / 1000
TOTAL = 'http_requests_total{job="shop"}'
FAILED = 'http_requests_total{job="shop",status=~"5.."}'
SPEC = spec.parse(
    yaml.safe_dump(
        {
            "version": "prometheus/v1",
            "service": "items",
            "slos": [
                {
                    "name": "reads",
                    "objective": 99.9,
                    "alerting": {},
                    "sli": {
                        "events": {
                            "error_query": f"sum(rate({FAILED}[{{{{.window}}}}]))",
                            "total_query": f"sum(rate({TOTAL}[{{{{.window}}}}]))",
                        }
                    },
                }
            ],
        }
    ),
    "slo.yaml",
)[0]
Rate = Callable[[np.ndarray[Any, Any]], np.ndarray[Any, Any]]


def series(status: str, counts: np.ndarray[Any, Any], instance: str = "1") -> RecordedSeries:
    """Return a series of one route, scraped every second until the fault is created."""
    labels = {"job": "shop", "instance": instance, "method": "GET", "handler": "/items", "status": status}
    return RecordedSeries(labels, TIMES, counts)


def past(good: np.ndarray[Any, Any], bad: np.ndarray[Any, Any]) -> Past:
    """Return a history with these counts of good and bad requests."""
    failed = series("503", bad)
    return Past("a test", {TOTAL: [series("200", good), failed], FAILED: [failed]}, 1000, 0)


def alerts(before: Past | None, rps: float = 20, **fault: Any) -> dict[str, ForecastAlert]:
    """Forecast a fault of 20 % for a minute, unless said otherwise, by long window."""
    body = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "1m"}} | fault
    traffic = Traffic(rps=rps, shares={"GET /items 200": 1})
    model = ForecastModel([Fault.model_validate(body)], traffic, SPEC, LAB, default_monitoring(LAB), past=before)
    model.check()
    return {alert.long_window: alert for alert in timetable.predict(model).alerts}


def times(alert: ForecastAlert) -> list[tuple[float | None, ...]]:
    """Return when the alert fires, is notified and resolved."""
    return [(each.firing, each.notified, each.resolved) for each in alert.moments]


def test_the_default_history_is_steady_traffic() -> None:
    """The same alerts at the same times, from first firing to end."""
    steady = alerts(past(20 * (SECONDS + 6000), np.zeros(SECONDS.size)))
    assumed = alerts(None)
    assert {window: times(alert) for window, alert in steady.items()} == {
        window: times(alert) for window, alert in assumed.items()
    }
    assert not any(alert.already for alert in steady.values())


def test_a_gap_without_traffic_makes_alerts_of_long_windows_earlier() -> None:
    """Two minutes without traffic: the six minutes before the fault have a third fewer good requests."""
    silent = past(20 * (SECONDS + 6000 - np.clip(SECONDS + 150, 0, 120)), np.zeros(SECONDS.size))
    steady = alerts(None)
    after = alerts(silent)
    assert after["1m"].moments[0].firing == 3  # of the minute before the fault, 30 s were silent
    assert steady["6m"].moments[0].firing == 11
    assert after["6m"].moments[0].firing == 8
    assert after["6m"].moments[-1].resolved == steady["6m"].moments[-1].resolved


def test_earlier_failures_count() -> None:
    """Ten seconds of failures five minutes ago: the ticket fires already, and a fault fires more alerts than alone."""
    burned = 20 * np.clip(SECONDS + 310, 0, 10)
    before = past(20 * (SECONDS + 6000) - burned, burned)
    faint: dict[str, Any] = {"rate": 0.004, "schedule": {"duration": "5m"}}
    alone = alerts(None, **faint)
    after = alerts(before, **faint)
    assert not alone["24m"].fires
    assert after["24m"].fires
    assert after["1h12m"].already
    assert after["1h12m"].moments[0].pending == after["1h12m"].moments[0].firing == 0
    assert not alone["1h12m"].already


def test_resets_and_ended_series_are_handled_as_in_prometheus() -> None:
    """A restart resets the counter, not the requests; a series of an earlier run adds nothing."""
    good = 20 * (SECONDS + 6000)
    restarted = np.where(SECONDS < -200, good, 20 * (SECONDS + 200))
    steady = alerts(past(good, np.zeros(SECONDS.size)))
    again = alerts(past(restarted, np.zeros(SECONDS.size)))
    assert times(again["1m"]) == times(steady["1m"])
    ended = series("200", good, "old")
    ended = RecordedSeries(ended.labels, ended.times[:-400], ended.values[:-400])
    began = RecordedSeries(series("200", good).labels, TIMES[-400:], 20 * (SECONDS[-400:] + 400))
    failed = series("503", np.zeros(SECONDS.size))
    handed_over = Past("a test", {TOTAL: [ended, began, failed], FAILED: [failed]}, 1000, 0)
    for window in ("1m", "6m"):
        assert times(alerts(handed_over)[window]) == times(steady[window])


def test_a_selector_without_series_is_refused() -> None:
    """The error has the available series; ended series count as missing."""
    other = Past("a Prometheus", {"http_requests_total": [series("200", SECONDS)]}, 1000)
    with pytest.raises(
        errors.Invalid, match=r"selects http_requests_total\{job=\"shop\"\}, of which a Prometheus has no"
    ):
        alerts(other)
    whole = series("200", SECONDS)
    ended = RecordedSeries(whole.labels, whole.times[:-60], whole.values[:-60])
    with pytest.raises(errors.Invalid, match="has no series"):
        alerts(Past("a Prometheus", {TOTAL: [ended], "up": [whole]}, 1000))


def test_little_traffic_makes_a_page_flap() -> None:
    """A handful of failures in a short window: the alert is expected to hold, but fires repeatedly by chance."""
    fault: dict[str, Any] = {"rate": 0.05, "schedule": {"duration": "2m"}}
    steady = past(3 * (SECONDS + 6000), np.zeros(SECONDS.size))
    for before in (steady, None):
        page = alerts(before, rps=3, **fault)["1m"]
        assert page.firings is not None
        assert len(page.moments) == 1
        assert page.firings.low >= 3
        assert page.firings.mean > page.firings.low
    calm = alerts(None, rps=3000, **fault)["1m"].firings
    assert calm is not None
    assert (calm.low, calm.high) == (1, 1)


def test_a_bucket_with_less_than_the_one_below_leaves_the_forecast_as_it_is() -> None:
    """A lab's counters restart between its seeded past and its present, where rates of buckets differ by a request."""
    times = answer_times({0.005: 528.0, 0.1: 580.0, 0.25: 579.0, math.inf: 579.0})
    traffic = Traffic(rps=20, shares={"GET /items 200": 1}, latencies={"GET /items": times})
    closed = series("000", np.zeros(TIMES.size))
    before = past(20 * (SECONDS + 5000), np.zeros(TIMES.size))
    before = replace(before, series={**before.series, TOTAL: [*before.series[TOTAL], closed]})
    fault = Fault.model_validate({"effect": {"type": "error"}, "rate": 0.1, "schedule": {"duration": "3m"}})
    model = ForecastModel([fault], traffic, SPEC, LAB, default_monitoring(LAB), past=before)
    page = next(alert for alert in timetable.predict(model).alerts if alert.long_window == "1m")
    assert page.peak == pytest.approx(100, rel=0.01)


def test_coarse_samples_are_interpolated() -> None:
    """Linearly; not across a missing sample or a reset."""
    coarse = np.array([0, 4000, 8000, 16000, 20000], dtype=np.int64)
    filled = fill_in(RecordedSeries({}, coarse, np.array([0.0, 8.0, 2.0, 4.0, 8.0])), 1000, 4000)
    assert filled.times.tolist() == [0, 1000, 2000, 3000, 4000, 8000, 16000, 17000, 18000, 19000, 20000]
    assert filled.values.tolist() == [0, 2, 4, 6, 8, 2, 4, 5, 6, 7, 8]


@pytest.mark.parametrize(
    ("counts", "since"),
    [
        ([5.0] * 60, 60),
        ([5.0] * 20 + [0.0] * 20 + [5.0] * 20, 20),
        ([0.0] * 45 + [5.0] * 15, 15),
        ([5.0] * 40 + [0.0] * 20, 60),  # it has paused, and not gone on
        ([0.1, 0.0, 0.0, 0.0] * 15, 60),  # little traffic does not pause
    ],
)
def test_traffic_is_measured_since_its_last_pause(counts: list[float], since: float) -> None:
    """A window with a pause in it would halve the rate."""
    times = np.arange(1001.0, 1061.0, dtype=np.float64)
    assert since_pause(times, np.array(counts), 1.0, 1000.0, 1060.0) == since


def test_no_rate_is_the_smallest_that_pages_while_a_page_fires() -> None:
    """The question has no answer then."""
    burned = 20 * np.clip(SECONDS + 20, 0, 19)
    before = past(20 * (SECONDS + 6000) - burned, burned)
    fault = Fault.model_validate({"effect": {"type": "error"}, "schedule": {"duration": "1m"}})
    traffic = Traffic(rps=20, shares={"GET /items 200": 1})
    model = ForecastModel([fault], traffic, SPEC, LAB, default_monitoring(LAB), past=before)
    with pytest.raises(errors.Invalid, match="pages fire already: reads 1m, reads 6m"):
        inverse.page_within(model, 20)


@pytest.mark.parametrize("missing", [slice(50, 57), slice(58, 60)])
def test_a_gap_in_the_records_is_no_pause(missing: slice) -> None:
    """A counter that is not scraped for a moment goes on; before the first scrape there is nothing to measure."""
    times = np.arange(1001.0, 1061.0, dtype=np.float64)
    counts = np.full(60, 20.0)
    assert since_pause(np.delete(times, missing), np.delete(counts, missing), 1.0, 1000.0, 1060.0) == 60
    assert since_pause(times[45:], counts[45:], 1.0, 1000.0, 1060.0) == 15
