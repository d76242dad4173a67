from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi import assets, errors
from chaosapi.faults.fault import Fault
from chaosapi.forecast import timetable
from chaosapi.forecast.model import Effort, ForecastModel
from chaosapi.forecast.monitoring import Monitoring, default_monitoring
from chaosapi.forecast.result import Forecast, ForecastAlert
from chaosapi.forecast.traffic import AnswerTime, Traffic
from chaosapi.slo import spec, windows
from tests.forecast.conftest import Ask

SHOP = spec.load(assets.path("alerts") / "slo.yaml")
LAB = windows.load("lab")


def _alert(found: Forecast, slo: str, long_window: str) -> ForecastAlert:
    return next(alert for alert in found.alerts if (alert.slo, alert.long_window) == (slo, long_window))


def test_the_demo_pages_in_seconds(ask: Ask) -> None:
    """20 % errors for three minutes: the page is notified at 5 s, and resolves within its short window."""
    found = timetable.predict(ask({"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}))
    page = _alert(found, "availability", "1m")
    [moments] = page.moments
    assert (moments.pending, moments.firing, moments.notified) == (5, 5, 5)
    assert moments.resolved == 184
    assert page.formula is not None
    assert page.formula.detection == pytest.approx(4.32)
    assert page.formula.reset == pytest.approx(4.64)
    assert page.chance.earliest is not None
    assert page.chance.latest is not None
    assert page.chance.earliest <= 5 <= page.chance.latest


def test_a_silent_alert_has_its_highest_burn_rate(ask: Ask) -> None:
    """At 1 % errors page-quick needs a burn rate of 14.4, and reaches 10."""
    fault = {"effect": {"type": "error"}, "rate": 0.01, "schedule": {"duration": "5m"}}
    page = _alert(timetable.predict(ask(fault)), "availability", "1m")
    assert not page.fires
    assert page.moments == []
    assert page.peak == pytest.approx(10, rel=1e-6)
    assert page.reach == pytest.approx(10 / 14.4, rel=1e-6)


def test_the_budget_is_counted_in_requests_of_a_whole_period(ask: Ask) -> None:
    """0.1 % of 12 h at 100 requests/s is 4320; a minute of 20 % errors takes 1200."""
    found = timetable.predict(ask({"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "1m"}}))
    budget = next(each for each in found.budgets if each.slo == "availability")
    assert budget.bad == pytest.approx(1200)
    assert budget.spent == pytest.approx(1200 / 4320)
    assert budget.left == pytest.approx(1 - 1200 / 4320)


def test_a_page_inhibits_tickets(ask: Ask) -> None:
    """As configured in alerts/alertmanager.yml."""
    found = timetable.predict(ask({"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}))
    ticket = _alert(found, "availability", "24m").moments[0]
    page = _alert(found, "availability", "6m").moments[0]
    assert ticket.firing == 22
    assert ticket.notified == page.resolved


def test_without_history_the_long_windows_contain_only_the_fault(ask: Ask) -> None:
    """Tickets fire as early as pages then; therefore the lab's history is seeded."""
    fault = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "1m"}}
    fresh = timetable.predict(ask(fault, history="0s"))
    firing = {alert.moments[0].firing for alert in fresh.alerts if alert.slo == "availability"}
    assert len(firing) == 1
    assert (firing.pop() or 0) <= 3


def test_for_makes_an_alert_pending_first(ask: Ask) -> None:
    """It fires at the first evaluation after that time."""
    fault = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}
    [moments] = _alert(timetable.predict(ask(fault, pending_for="10s")), "availability", "1m").moments
    assert (moments.pending, moments.firing) == (5, 15)


def test_min_failures_delay_an_alert(ask: Ask) -> None:
    """At 1 request/s and 20 % errors, the tenth failure comes after some 50 s."""
    fault = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}
    slow = {"rps": 1}
    plain = _alert(timetable.predict(ask(fault, traffic=slow)), "availability", "6m").moments[0].firing
    held = _alert(timetable.predict(ask(fault, traffic=slow, min_failures=10)), "availability", "6m").moments[0].firing
    assert plain is not None
    assert held is not None
    assert plain < 15
    assert 45 <= held <= 55


def test_the_end_of_traffic_resolves_the_alert(ask: Ask) -> None:
    """Without traffic the ratio is absent as soon as the short window is empty."""
    fault = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}
    traffic = {"stages": [{"after": "1m", "rps": 0}]}
    [moments] = _alert(timetable.predict(ask(fault, traffic=traffic)), "availability", "1m").moments
    assert moments.resolved is not None
    assert 60 < moments.resolved <= 67


def test_failures_within_one_scrape_are_seen(ask: Ask) -> None:
    """Requests that hang until the fault ends fail all at once, with a status that was counted from the start."""
    found = timetable.predict(ask({"effect": {"type": "hang"}, "schedule": {"duration": "30s"}}))
    page = _alert(found, "availability", "1m")
    assert page.moments[0].firing == 30
    assert page.peak > 500


def test_the_series_of_an_unusual_status_exists_from_the_creation_of_the_fault(ask: Ask) -> None:
    """All failures within one scrape: seen after a scrape without any, missed by the first scrape of the series."""
    burst = {"effect": {"type": "error", "status": 505}}
    later = timetable.predict(ask({**burst, "schedule": {"start_after": "10s", "duration": "1s"}}))
    at_once = timetable.predict(ask({**burst, "schedule": {"duration": "1s"}}))
    assert _alert(later, "availability", "1m").moments[0].firing == 11
    assert not _alert(at_once, "availability", "1m").fires


def test_hanging_requests_count_at_their_end(ask: Ask) -> None:
    """No request is bad before `at_most`; the requests that hang at the fault's end count then."""
    fault = {"effect": {"type": "hang", "at_most": "20s"}, "rate": 0.2, "schedule": {"duration": "1m"}}
    found = timetable.predict(ask(fault))
    firing = _alert(found, "availability", "1m").moments[0].firing
    assert firing is not None
    assert 20 < firing < 30
    assert next(each for each in found.budgets if each.slo == "availability").bad == pytest.approx(1200)


def test_slow_responses_burn_only_the_latency_budget(ask: Ask) -> None:
    """Half of uniform(0, 492 ms) plus 4 ms is slower than 250 ms."""
    effect = {"type": "latency", "distribution": {"type": "uniform", "high": "492ms"}}
    found = timetable.predict(ask({"effect": effect, "schedule": {"duration": "1m"}}))
    bad = {budget.slo: budget.bad for budget in found.budgets}
    assert bad["latency"] == pytest.approx(3000)
    assert bad["availability"] == bad["checkout-availability"] == 0


def test_only_the_slis_bad_statuses_are_bad(ask: Ask) -> None:
    """Of a mix of 503 and 404, 404 is good; of two faults the older one responds."""
    mix = {"effect": {"type": "error", "status": {"503": 0.5, "404": 0.5}}, "schedule": {"duration": "1m"}}
    hidden = {"effect": {"type": "reset"}, "schedule": {"duration": "1m"}}
    found = timetable.predict(ask(mix, hidden))
    assert found.budgets[0].bad == pytest.approx(3000)


def test_limits_of_the_forecast_are_listed(ask: Ask) -> None:
    """Whether a throttled response is slow depends on its size; a truncated one has a good status."""
    found = timetable.predict(
        ask({"effect": {"type": "throttle", "bytes_per_second": 10}}, {"effect": {"type": "truncate"}})
    )
    assert found.not_modelled == ["throttle: how long a throttled answer takes depends on its size"]
    assert "before truncate acts, so SLIs count hit requests as good" in found.assumptions.others[-1]
    assert not any(alert.fires for alert in found.alerts)


def test_a_window_too_short_for_the_scrapes_is_refused() -> None:
    """As for the generated rules."""
    fault = Fault.model_validate({"effect": {"type": "error"}})
    with pytest.raises(errors.Invalid, match="needs 4 scrapes"):
        timetable.forecast([fault], Traffic.of_shop(), SHOP, LAB, Monitoring(scrape=15))


def test_a_too_long_horizon_is_refused(ask: Ask) -> None:
    """A year in steps of a second would take minutes."""
    with pytest.raises(errors.Invalid, match="horizon"):
        ask({"effect": {"type": "error"}}, horizon="8760h")


def _firings(rate: float, duration: float, shape: dict[str, object]) -> dict[tuple[str, str], float]:
    body = {"effect": {"type": "error"}, "rate": rate, "schedule": {"duration": duration, "shape": shape}}
    model = ForecastModel([Fault.model_validate(body)], Traffic.of_shop(), SHOP, LAB, default_monitoring(LAB))
    return {
        (alert.slo, alert.long_window): alert.moments[0].firing or 0.0
        for alert in timetable.predict(model).alerts
        if alert.fires
    }


shapes = st.sampled_from([{"type": "constant"}, {"type": "ramp", "up": 10}, {"type": "pulse", "on": 7, "off": 5}])


@settings(max_examples=25, deadline=None)
@given(st.floats(0.002, 1), st.floats(0.002, 1), st.integers(20, 200), shapes)
def test_more_errors_never_fire_later(one: float, other: float, duration: int, shape: dict[str, object]) -> None:
    """A higher rate fires every alert that a lower rate fires, and no later."""
    low, high = sorted((one, other))
    later = _firings(low, duration, shape)
    sooner = _firings(high, duration, shape)
    assert later.keys() <= sooner.keys()
    assert all(sooner[alert] <= firing for alert, firing in later.items())


@settings(max_examples=25, deadline=None)
@given(st.floats(0.002, 1), st.integers(10, 200), st.integers(10, 200))
def test_a_longer_fault_fires_at_least_the_same_alerts(rate: float, one: int, other: int) -> None:
    """The alerts of both fire at the same time."""
    short, long = (_firings(rate, duration, {"type": "constant"}) for duration in sorted((one, other)))
    assert short.items() <= long.items()


def test_pulses_between_scrapes_count(ask: Ask) -> None:
    """Ten pulses of 3.3 s at 100 requests/s; each of their 20 edges is off by less than a sixteenth of a second."""
    shape = {"type": "pulse", "on": "3.3s", "off": "2.9s"}
    fault = {"effect": {"type": "error"}, "schedule": {"duration": "62s", "shape": shape}}
    assert timetable.predict(ask(fault)).budgets[0].bad == pytest.approx(3300, abs=20 * 100 / 16)


def test_forecasts_are_deterministic(ask: Ask) -> None:
    """Also for bursts, which depend on the fault's name and seed."""
    shape = {"type": "bursts", "on": "5s", "off": "5s"}
    fault = {"name": "gusts", "effect": {"type": "reset"}, "rate": 0.3, "schedule": {"duration": "2m", "shape": shape}}
    found = timetable.predict(ask(fault))
    assert found == timetable.predict(ask(fault))
    assert found != timetable.predict(ask(fault | {"name": "others"}))


@pytest.mark.parametrize("step", [0, 1, 5, 10])
def test_a_forecast_stops_when_its_check_raises(ask: Ask, step: int) -> None:
    """After any of its steps: the faults, the delays at each strength, the windows."""
    slow = {"type": "latency", "distribution": {"type": "lognormal", "median": "200ms", "p99": "900ms"}}
    ramp = {"duration": "60s", "shape": {"type": "ramp", "up": "30s"}}
    steps = iter(range(step))

    def check() -> None:
        if next(steps, None) is None:
            raise TimeoutError

    model = replace(ask({"effect": slow, "schedule": ramp}), effort=Effort(check=check))
    with pytest.raises(TimeoutError):
        timetable.predict(model)
    assert next(steps, None) is None


def test_a_delay_is_added_to_the_usual_latency() -> None:
    """Of a route of 180 ms, 100 ms more make every answer late; of 20 ms none; and a tenth is late without a fault."""
    effect = {"type": "latency", "distribution": {"type": "constant", "value": "100ms"}}
    fault = Fault.model_validate({"effect": effect, "schedule": {"duration": "1m"}})
    shares = {"GET /slow 200": 0.5, "GET /quick 200": 0.5}
    slow = [AnswerTime(seconds=0.18, share=0.9), AnswerTime(seconds=1.0, share=0.1)]
    latencies = {"GET /slow": slow, "GET /quick": [AnswerTime(seconds=0.02, share=1.0)]}
    traffic = Traffic(rps=100, shares=shares, latencies=latencies)
    found = timetable.forecast([fault], traffic, SHOP.only("latency"), LAB, default_monitoring(LAB))
    [budget] = found.budgets
    assert budget.bad == pytest.approx(3000 + 0.1 * 50 * (found.horizon - 60), rel=1e-3)
    assert "without a fault, answers take as long as measured" in found.assumptions.others
