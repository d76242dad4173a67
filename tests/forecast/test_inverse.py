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
def test_the_lowest_rate_that_pages_in_time_is_found(ask: Ask, within: float) -> None:
    """The rate pages in time, and a rate lower by a thousandth does not."""
    model = ask(ERRORS)
    answer = inverse.page_within(model, within)
    assert _first_page(model, answer.rate) <= within
    assert _first_page(model, answer.rate * 0.999) > within


def test_a_page_counts_at_its_notification(ask: Ask) -> None:
    """With pulses, the first episodes of an alert end before group_wait; a later one is notified in time."""
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


def test_no_page_is_possible_before_a_scrape(ask: Ask) -> None:
    """Even if every request fails."""
    with pytest.raises(errors.Invalid, match="even a rate of 1"):
        inverse.page_within(ask(ERRORS), 0.5)


def test_rate_and_duration_spend_the_budget(ask: Ask) -> None:
    """A tenth of 12 h × 0.1 % is 4.32 s of all requests: 2.4 % of 3 min, or 43.2 s of 10 %."""
    answer = inverse.spend(ask(ERRORS | {"rate": 0.1}), 0.1, "availability")
    assert answer.rate == pytest.approx(0.024, rel=1e-3)
    assert answer.duration == pytest.approx(43.2, rel=1e-3)


def test_the_default_slo_is_the_one_with_the_highest_burn(ask: Ask) -> None:
    """A fault on checkouts spends the budget of checkouts first; ten budgets are impossible."""
    checkout = ERRORS | {"target": {"routes": ["/api/checkout"]}}
    answer = inverse.spend(ask(checkout), 10)
    assert answer.slo == "checkout-availability"
    assert answer.rate is None


def test_a_burn_rate_is_converted_into_a_rate() -> None:
    """14.4 × 0.1 % of all requests, of which 6 % are checkouts: 24 % of the checkouts."""
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
def test_an_unreachable_burn_rate_is_refused(
    effect: dict[str, object], burn_rate: float, slo: str, problem: str
) -> None:
    """The error has the highest possible burn rate."""
    fault = Fault.model_validate({"effect": effect, "target": {"routes": ["/api/checkout"]}})
    with pytest.raises(errors.Invalid, match=problem):
        inverse.rate_for(fault, burn_rate, slo, SHOP, CHECKOUTS)


def test_the_inverse_needs_exactly_one_fault(ask: Ask) -> None:
    """With two faults the rate would be ambiguous."""
    with pytest.raises(errors.Invalid, match="exactly one"):
        inverse.page_within(ask(ERRORS, ERRORS), 60)
