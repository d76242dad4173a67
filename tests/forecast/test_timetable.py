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
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo import spec, windows
from tests.forecast.conftest import Ask

SHOP = spec.load(assets.path("alerts") / "slo.yaml")
LAB = windows.load("lab")


def _alert(found: Forecast, slo: str, long_window: str) -> ForecastAlert:
    return next(alert for alert in found.alerts if (alert.slo, alert.long_window) == (slo, long_window))


def test_the_demo_pages_in_seconds(ask: Ask) -> None:
    """A fifth of all requests fail for three minutes: the page is told at 5 s, and let go within its short window."""
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


def test_what_stays_silent_says_how_far_below_it_stays(ask: Ask) -> None:
    """At 1 % errors the quick page would need 14.4 times the sustainable rate, and gets 10."""
    fault = {"effect": {"type": "error"}, "rate": 0.01, "schedule": {"duration": "5m"}}
    page = _alert(timetable.predict(ask(fault)), "availability", "1m")
    assert not page.fires
    assert page.moments == []
    assert page.peak == pytest.approx(10, rel=1e-6)
    assert page.reach == pytest.approx(10 / 14.4, rel=1e-6)


def test_the_budget_is_counted_in_requests_of_a_whole_period(ask: Ask) -> None:
    """Of 12 h of 100 requests/s 0.1 % may fail: 4320. A minute of 20 % errors takes 1200 of them."""
    found = timetable.predict(ask({"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "1m"}}))
    budget = next(each for each in found.budgets if each.slo == "availability")
    assert budget.bad == pytest.approx(1200)
    assert budget.spent == pytest.approx(1200 / 4320)
    assert budget.left == pytest.approx(1 - 1200 / 4320)


def test_a_page_silences_tickets_until_it_is_over(ask: Ask) -> None:
    """As alerts/alertmanager.yml inhibits them."""
    found = timetable.predict(ask({"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}))
    ticket = _alert(found, "availability", "24m").moments[0]
    page = _alert(found, "availability", "6m").moments[0]
    assert ticket.firing == 22
    assert ticket.notified == page.resolved


def test_without_history_the_long_windows_see_only_the_fault(ask: Ask) -> None:
    """Tickets then fire as early as pages: the reason why a lab is seeded."""
    fault = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "1m"}}
    fresh = timetable.predict(ask(fault, history="0s"))
    firing = {alert.moments[0].firing for alert in fresh.alerts if alert.slo == "availability"}
    assert len(firing) == 1
    assert (firing.pop() or 0) <= 3


def test_a_for_makes_it_pend_first(ask: Ask) -> None:
    """It fires at the first evaluation at least that much later."""
    fault = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}
    [moments] = _alert(timetable.predict(ask(fault, pending_for="10s")), "availability", "1m").moments
    assert (moments.pending, moments.firing) == (5, 15)


def test_min_failures_hold_an_alert_back(ask: Ask) -> None:
    """At 1 request/s, 20 % errors make the tenth failure after some 50 s."""
    fault = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}
    slow = {"rps": 1}
    plain = _alert(timetable.predict(ask(fault, traffic=slow)), "availability", "6m").moments[0].firing
    held = _alert(timetable.predict(ask(fault, traffic=slow, min_failures=10)), "availability", "6m").moments[0].firing
    assert plain is not None
    assert held is not None
    assert plain < 15
    assert 45 <= held <= 55


def test_traffic_that_ends_resolves_the_alert(ask: Ask) -> None:
    """No traffic is no error: the ratio is absent once the short window is empty."""
    fault = {"effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}
    traffic = {"stages": [{"after": "1m", "rps": 0}]}
    [moments] = _alert(timetable.predict(ask(fault, traffic=traffic)), "availability", "1m").moments
    assert moments.resolved is not None
    assert 60 < moments.resolved <= 67


def test_hanging_requests_count_when_they_are_given_up(ask: Ask) -> None:
    """Nothing is bad before `at_most`, and all that still hang when the fault ends are counted then."""
    fault = {"effect": {"type": "hang", "at_most": "20s"}, "rate": 0.2, "schedule": {"duration": "1m"}}
    found = timetable.predict(ask(fault))
    firing = _alert(found, "availability", "1m").moments[0].firing
    assert firing is not None
    assert 20 < firing < 30
    assert next(each for each in found.budgets if each.slo == "availability").bad == pytest.approx(1200)


def test_late_answers_burn_the_latency_budget_alone(ask: Ask) -> None:
    """Half of uniform 0 to 492 ms, on top of 4 ms, is later than 250 ms."""
    effect = {"type": "latency", "distribution": {"type": "uniform", "high": "492ms"}}
    found = timetable.predict(ask({"effect": effect, "schedule": {"duration": "1m"}}))
    bad = {budget.slo: budget.bad for budget in found.budgets}
    assert bad["latency"] == pytest.approx(3000)
    assert bad["availability"] == bad["checkout-availability"] == 0


def test_only_statuses_that_an_sli_counts_are_bad(ask: Ask) -> None:
    """Of a mix of 503 and 404 the 404 are good; of two faults the older one answers."""
    mix = {"effect": {"type": "error", "status": {"503": 0.5, "404": 0.5}}, "schedule": {"duration": "1m"}}
    hidden = {"effect": {"type": "reset"}, "schedule": {"duration": "1m"}}
    found = timetable.predict(ask(mix, hidden))
    assert found.budgets[0].bad == pytest.approx(3000)


def test_what_cannot_be_told_is_said(ask: Ask) -> None:
    """A throttled answer is late or not by its size; a truncated one has sent its status already."""
    found = timetable.predict(
        ask({"effect": {"type": "throttle", "bytes_per_second": 10}}, {"effect": {"type": "truncate"}})
    )
    assert found.not_modelled == ["throttle: how long a throttled answer takes depends on its size"]
    assert "before truncate acts, so SLIs count hit requests as good" in found.assumptions.others[-1]
    assert not any(alert.fires for alert in found.alerts)


def test_a_window_too_short_for_the_scrapes_is_refused() -> None:
    """As everywhere else."""
    fault = Fault.model_validate({"effect": {"type": "error"}})
    with pytest.raises(errors.Invalid, match="needs 4 scrapes"):
        timetable.forecast([fault], Traffic.of_shop(), SHOP, LAB, Monitoring(scrape=15))


def test_a_horizon_too_far_is_refused(ask: Ask) -> None:
    """A year by the second would take minutes."""
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
    """A higher rate fires every alert that a lower one does, and no later."""
    low, high = sorted((one, other))
    later, sooner = _firings(low, duration, shape), _firings(high, duration, shape)
    assert later.keys() <= sooner.keys()
    assert all(sooner[alert] <= firing for alert, firing in later.items())


@settings(max_examples=25, deadline=None)
@given(st.floats(0.002, 1), st.integers(10, 200), st.integers(10, 200))
def test_a_longer_fault_fires_no_fewer_alerts(rate: float, one: int, other: int) -> None:
    """And those that both fire come at the same time."""
    short, long = (_firings(rate, duration, {"type": "constant"}) for duration in sorted((one, other)))
    assert short.items() <= long.items()


def test_pulses_that_miss_the_scrapes_are_counted_too(ask: Ask) -> None:
    """Ten pulses of 3.3 s of 100 requests/s; each of their 20 edges is less than a sixteenth of a second off."""
    shape = {"type": "pulse", "on": "3.3s", "off": "2.9s"}
    fault = {"effect": {"type": "error"}, "schedule": {"duration": "62s", "shape": shape}}
    assert timetable.predict(ask(fault)).budgets[0].bad == pytest.approx(3300, abs=20 * 100 / 16)


def test_the_same_question_has_the_same_answer(ask: Ask) -> None:
    """Bursts too: they are drawn from the fault's name and seed."""
    shape = {"type": "bursts", "on": "5s", "off": "5s"}
    fault = {"name": "gusts", "effect": {"type": "reset"}, "rate": 0.3, "schedule": {"duration": "2m", "shape": shape}}
    found = timetable.predict(ask(fault))
    assert found == timetable.predict(ask(fault))
    assert found != timetable.predict(ask(fault | {"name": "others"}))


@pytest.mark.parametrize("step", [0, 1, 5, 10])
def test_it_stops_where_the_check_raises(ask: Ask, step: int) -> None:
    """Between any two of its steps: the faults, the delays at each strength, the windows."""
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
