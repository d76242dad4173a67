from dataclasses import replace

import pytest

from chaosapi import assets, errors
from chaosapi.faults.fault import Fault
from chaosapi.forecast import inverse, timetable
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.traffic import PartialTraffic, Traffic
from chaosapi.slo import spec
from tests.forecast.conftest import Ask

SHOP = spec.load(assets.path("alerts") / "slo.yaml")
CHECKOUTS = PartialTraffic(shares={"/api/checkout": 0.06}).completed(Traffic.of_shop())
ERRORS = {"effect": {"type": "error"}, "schedule": {"duration": "3m"}}


def _first_page(model: ForecastModel, rate: float) -> float:
    fault = model.faults[0].model_copy(update={"rate": rate})
    found = timetable.predict(replace(model, faults=[fault]))
    pages = [alert.moments[0].notified for alert in found.alerts if alert.severity == "page" and alert.fires]
    return min((page for page in pages if page is not None), default=float("inf"))


@pytest.mark.parametrize("within", [6.0, 20.0, 60.0])
def test_the_rate_that_pages_in_time_is_the_smallest(ask: Ask, within: float) -> None:
    """It does, and a thousandth less does not."""
    model = ask(ERRORS)
    answer = inverse.page_within(model, within)
    assert _first_page(model, answer.rate) <= within
    assert _first_page(model, answer.rate * 0.999) > within


def test_a_page_that_is_told_late_counts_when_it_is_told(ask: Ask) -> None:
    """In pulses, the first moments of an alert are over before its group has waited; a later one is told in time."""
    shape = {"type": "pulse", "on": "6s", "off": "60s"}
    pulses = {
        "effect": {"type": "error"},
        "schedule": {"duration": "5m", "shape": shape},
        "target": {"routes": ["/api/checkout"]},
    }
    model = ask(pulses, scrape=1, evaluation=1, group_wait=31, group_interval=1)
    assert _first_page(model, 1.0) == float("inf")
    told = [moment.notified for moment in inverse.page_within(model, 200).alert.moments]
    assert any(when is not None and when <= 200 for when in told)


def test_nobody_can_be_paged_before_a_scrape(ask: Ask) -> None:
    """Even if everything fails."""
    with pytest.raises(errors.Invalid, match="even a rate of 1"):
        inverse.page_within(ask(ERRORS), 0.5)


def test_rate_and_duration_spend_the_budget(ask: Ask) -> None:
    """A tenth of 12 h × 0.1 % is 4.32 s of everything: 2.4 % of 3 min, or 43.2 s of 10 %."""
    answer = inverse.spend(ask(ERRORS | {"rate": 0.1}), 0.1, "availability")
    assert answer.rate == pytest.approx(0.024, rel=1e-3)
    assert answer.duration == pytest.approx(43.2, rel=1e-3)


def test_the_slo_that_is_hurt_most_is_meant(ask: Ask) -> None:
    """A fault of checkouts spends the budget of checkouts first; ten budgets are out of its reach."""
    checkout = ERRORS | {"target": {"routes": ["/api/checkout"]}}
    answer = inverse.spend(ask(checkout), 10)
    assert answer.slo == "checkout-availability"
    assert answer.rate is None


def test_a_burn_rate_becomes_a_rate() -> None:
    """14.4 × 0.1 % of all requests, of which checkouts are 6 %: 24 % of those."""
    fault = Fault.model_validate({"effect": {"type": "error"}, "target": {"routes": ["/api/checkout"]}})
    answer = inverse.rate_for(fault, 14.4, "shop-availability", SHOP, CHECKOUTS)
    assert answer.rate == pytest.approx(0.24, rel=1e-5)
    assert "14.4" in answer.sum
    assert "0.0144" in answer.sum
    assert "0.06" in answer.sum


@pytest.mark.parametrize(
    ("effect", "burn_rate", "slo", "problem"),
    [
        ({"type": "error"}, 100, "availability", "a burn rate of 60: ask for at most that"),
        ({"type": "error"}, 1e-6, "availability", "a rate of 1e-06, .* 6e-05 times too fast: ask for at least that"),
        ({"type": "truncate"}, 1, "availability", "a burn rate of 0"),
        ({"type": "error"}, 1, "uptime", "one of availability, latency, checkout-availability"),
        ({"type": "throttle", "bytes_per_second": 9}, 1, "latency", "give a ratio"),
    ],
)
def test_a_burn_rate_out_of_reach_is_refused(
    effect: dict[str, object], burn_rate: float, slo: str, problem: str
) -> None:
    """With what could be reached instead."""
    fault = Fault.model_validate({"effect": effect, "target": {"routes": ["/api/checkout"]}})
    with pytest.raises(errors.Invalid, match=problem):
        inverse.rate_for(fault, burn_rate, slo, SHOP, CHECKOUTS)


def test_questions_about_one_fault_take_one(ask: Ask) -> None:
    """With two, it would be open whose rate is meant."""
    with pytest.raises(errors.Invalid, match="exactly one"):
        inverse.page_within(ask(ERRORS, ERRORS), 60)
