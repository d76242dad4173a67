import re
from typing import Any

import numpy as np
import pytest

from chaosapi import assets
from chaosapi.routes import COUNTED_FROM_START, STATUS_CLOSED
from tests.loadtests.pure import module

SCENARIOS: dict[str, Any] = module("_scenarios").SCENARIOS
WANTED = {"steady", "spike", "ramp", "steps", "diurnal", "soak", "double-spike", "flash-sale", "thundering-herd"}


def test_all_scenarios_are_documented() -> None:
    """Each says what it imitates, what to watch and which alert it should move."""
    assert SCENARIOS.keys() == WANTED | {"retry-storm", "brownout-probe", "assistant"}
    for scenario in SCENARIOS.values():
        assert "Watch" in scenario.story
        assert re.search(r"alert|page|ticket|Absent", scenario.story)
        assert sum(scenario.mix.values()) == pytest.approx(1)


def test_clients_count_the_statuses_from_the_start_that_the_service_does() -> None:
    """The load test cannot import the service's list, so it has a copy."""
    assert {STATUS_CLOSED, "200", *module("_scenarios").ERRORS_FROM_START} == set(COUNTED_FROM_START)


@pytest.mark.parametrize("name", SCENARIOS)
def test_rates_and_arrivals_agree(name: str) -> None:
    """What has arrived is the integral of the rate, and the time at which so many are due is its inverse."""
    load = SCENARIOS[name].load(duration=100)
    times = np.linspace(0, 100, 200_001)
    rates = np.array([load.rate_at(time) for time in times])
    assert rates.sum() * (times[1] - times[0]) == pytest.approx(load.total, rel=1e-3)
    assert load.arrived(100) == load.total
    for count in np.linspace(0, load.total * (1 - 1e-9), 500):
        assert load.arrived(load.due(count)) == pytest.approx(count, abs=1e-6)


def test_spike_peaks_in_the_middle_third() -> None:
    """Bounds included below and excluded above; the scale multiplies all of it, and nothing follows the end."""
    spike = SCENARIOS["spike"].load(rate=20, peak=100, duration=90, scale=2)
    assert [spike.rate_at(t) for t in (0, 29.9, 30, 59.9, 60, 89.9, 90)] == [40, 40, 200, 200, 40, 40, 0]


def test_a_herd_returns_after_a_gap() -> None:
    """No request during the outage, and then more than ever before."""
    herd = SCENARIOS["thundering-herd"].load(rate=10, peak=100, duration=100)
    assert [herd.rate_at(t) for t in (29, 30, 49.9, 50, 65)] == [10, 0, 0, 100, 10]


def test_a_flash_sale_is_about_buying() -> None:
    """The share of checkouts is several times the usual one."""
    route = "POST /api/checkout"
    assert SCENARIOS["flash-sale"].mix[route] > 4 * SCENARIOS["spike"].mix[route]


@pytest.mark.parametrize(
    ("name", "numbers", "message"),
    [
        ("steady", {"rate": 0}, "the rate is 0 requests/s; it must be above 0"),
        ("steady", {"rate": float("nan")}, "the rate is nan requests/s"),
        ("steady", {"duration": 0}, "the duration is 0 s; it must be longer than 0 s"),
        ("steady", {"scale": 0}, "the scale is 0; it must be above 0"),
        ("spike", {"peak": 20, "rate": 20}, "the peak is 20 requests/s; it must be above the rate, 20"),
    ],
)
def test_numbers_out_of_range_are_refused(name: str, numbers: dict[str, float], message: str) -> None:
    """The error names the number and its valid range."""
    with pytest.raises(ValueError, match=message):
        SCENARIOS[name].load(**numbers)


def test_the_scenario_modules_are_in_the_locustfiles_folder() -> None:
    """Locust reads every file of the folder that has no underscore before its name, so there is only one."""
    assert [path.name for path in assets.path("loadtests").rglob("[!_]*.py")] == ["locustfile.py"]
