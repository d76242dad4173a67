from itertools import pairwise

import numpy as np
import pytest
from pydantic import ValidationError

from chaosapi import errors
from chaosapi.forecast import locust_scenarios, scenarios
from chaosapi.forecast.counters import rate_at
from chaosapi.forecast.traffic import SHOP, Traffic, TrafficRoute


def test_the_mix_is_that_of_the_load_tests() -> None:
    """Locust's shares are the forecast's, route by route."""
    assert {
        f"{route.method} {route.handler}": share for route, share in SHOP.items()
    } == locust_scenarios.load_scenarios().MIX


def test_given_shares_leave_the_rest_to_the_others() -> None:
    """In the shop's proportions; a route that the shop lacks is a GET unless it says otherwise."""
    mix = Traffic(shares={"/api/checkout": 0.53, "/extra": 0.1}).mix
    assert mix[TrafficRoute("POST", "/api/checkout")] == 0.53
    assert mix[TrafficRoute("GET", "/extra")] == 0.1
    assert mix[TrafficRoute("GET", "/api/products")] == pytest.approx(
        0.37 * 0.3 / (1 - SHOP[TrafficRoute("POST", "/api/checkout")])
    )
    assert sum(mix.values()) == pytest.approx(1)


def test_more_than_all_of_the_traffic_is_refused() -> None:
    """Shares are of one whole."""
    with pytest.raises(ValidationError, match=r"add up to 1\.3"):
        Traffic(shares={"/a": 0.7, "/b": 0.6})
    with pytest.raises(ValidationError, match="POST /api/checkout is there twice"):
        Traffic(shares={"/api/checkout": 0.1, "post /api/checkout": 0.2})


def test_a_scenario_becomes_stages() -> None:
    """The spike of loadtests/: its middle third at the peak, nothing once it is over, its mix of routes."""
    traffic = Traffic(**scenarios.traffic_fields("spike", rate=20, peak=100, duration=90))
    assert [(stage.after, stage.rps) for stage in traffic.stages] == [(0, 20), (30, 100), (60, 20), (90, 0)]
    seconds = np.array([-5.0, 0.0, 30.0, 59.9, 60.0, 90.0])
    assert rate_at(traffic, seconds).tolist() == [20, 20, 100, 100, 20, 0]
    assert traffic.mix == SHOP
    assert Traffic(**scenarios.traffic_fields("flash-sale")).mix[TrafficRoute("POST", "/api/checkout")] == 0.28


def test_a_scale_multiplies_a_scenario() -> None:
    """Rate and peak alike, and nothing else."""
    once, twice = (Traffic(**scenarios.traffic_fields("spike", scale=scale)) for scale in (1, 2))
    assert [(stage.after, 2 * stage.rps) for stage in once.stages] == [
        (stage.after, stage.rps) for stage in twice.stages
    ]
    assert (2 * once.rps, once.mix) == (twice.rps, twice.mix)


@pytest.mark.parametrize("name", locust_scenarios.load_scenarios().SCENARIOS)
def test_stages_keep_every_request(name: str) -> None:
    """However the rate bends, the stages add up to what Locust sends."""
    load = locust_scenarios.load_scenarios().SCENARIOS[name].load()
    stages = scenarios.traffic_fields(name)["stages"]
    sent = sum(stage.rps * (after.after - stage.after) for stage, after in pairwise(stages))
    assert sent == pytest.approx(load.total, rel=1e-6)


@pytest.mark.parametrize(("name", "peak", "problem"), [("storm", 100, "one of steady, spike"), ("spike", 5, "peak")])
def test_a_scenario_that_cannot_be_is_refused(name: str, peak: int, problem: str) -> None:
    """In the words of the scenario, or with the names that there are."""
    with pytest.raises(errors.Invalid, match=problem):
        scenarios.traffic_fields(name, rate=20, peak=peak, duration=90)
