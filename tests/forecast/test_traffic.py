import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from chaosapi import errors
from chaosapi.forecast import locust_scenarios, scenarios
from chaosapi.forecast.counters import rate_at
from chaosapi.forecast.traffic import SHOP, PartialTraffic, Traffic, TrafficRoute, answer_times, without_failures


def test_the_default_mix_is_that_of_the_load_tests() -> None:
    """The shares of each route equal Locust's."""
    assert {
        f"{route.method} {route.handler}": share for route, share in SHOP.items()
    } == locust_scenarios.load_scenarios().MIX


def test_the_rest_of_given_shares_goes_to_the_other_routes() -> None:
    """In the shop's proportions; an unknown route is a GET unless given with a method."""
    mix = PartialTraffic(shares={"/api/checkout": 0.53, "/extra": 0.1}).completed(Traffic.of_shop()).mix
    assert mix[TrafficRoute("POST", "/api/checkout")] == 0.53
    assert mix[TrafficRoute("GET", "/extra")] == 0.1
    assert mix[TrafficRoute("GET", "/api/products")] == pytest.approx(
        0.37 * 0.3 / (1 - SHOP[TrafficRoute("POST", "/api/checkout")])
    )
    assert sum(mix.values()) == pytest.approx(1)


def test_shares_above_1_are_refused() -> None:
    """The sum of shares is at most 1."""
    with pytest.raises(ValidationError, match=r"add up to 1\.3"):
        PartialTraffic(shares={"/a": 0.7, "/b": 0.6})
    with pytest.raises(ValidationError, match="POST /api/checkout is there twice"):
        PartialTraffic(shares={"/api/checkout": 0.1, "post /api/checkout": 0.2})
    with pytest.raises(ValidationError, match="GET /a 404 is there twice"):
        PartialTraffic(shares={"GET /a 404": 0.1, "/a": 0.2})
    with pytest.raises(ValidationError, match=r"add up to 0\.3, not to 1"):
        Traffic(shares={"/a": 0.3})


MEASURED = Traffic.from_rates(
    {
        TrafficRoute("GET", "/items/{id}", "200"): 6.0,
        TrafficRoute("GET", "/items/{id}", "404"): 2.0,
        TrafficRoute("POST", "/items", "202"): 2.0,
        TrafficRoute("GET", "/nobody", "200"): 0.0,
    },
    "measured",
)


def test_omitted_traffic_is_as_measured() -> None:
    """A name without method or status stands for all of its routes; the source says which part is given."""
    as_measured = PartialTraffic().completed(MEASURED)
    assert (as_measured.rps, as_measured.mix, as_measured.source) == (10.0, MEASURED.mix, "measured")
    traffic = PartialTraffic(rps=50, shares={"/items/{id}": 0.4}).completed(MEASURED)
    assert traffic.rps == 50
    assert traffic.mix == pytest.approx(
        {
            TrafficRoute("GET", "/items/{id}", "200"): 0.3,
            TrafficRoute("GET", "/items/{id}", "404"): 0.1,
            TrafficRoute("POST", "/items", "202"): 0.6,
        }
    )
    assert traffic.source == "measured; requests/s and shares as given"
    assert PartialTraffic.model_validate({"shares": traffic.shares, "rps": 1}).completed(None).mix == traffic.mix


@pytest.mark.parametrize("given", [{}, {"rps": 5}, {"shares": {"/a": 1}}, {"rps": 5, "shares": {"/a": 0.5}}])
def test_an_unknown_route_in_the_traffic_is_refused(given: dict[str, Any]) -> None:
    """Another service's mix is no substitute."""
    with pytest.raises(errors.Invalid, match="not known: give requests/s, and shares of the routes that add up to 1"):
        PartialTraffic.model_validate(given).completed(None)


def test_shares_of_all_measured_routes_must_be_whole() -> None:
    """There is no other route to take the rest."""
    with pytest.raises(errors.Invalid, match=r"add up to 0\.3, and no other route has any traffic"):
        PartialTraffic(shares={"/items/{id}": 0.2, "/items": 0.1}).completed(MEASURED)


def test_failures_of_a_fault_are_not_those_of_the_service() -> None:
    """They count as the route's usual answer: the fault is over when the next one acts."""
    failing = {
        TrafficRoute("GET", "/a", "503"): 9.0,
        TrafficRoute("GET", "/a", "200"): 2.0,
        TrafficRoute("GET", "/a", "404"): 1.0,
        TrafficRoute("POST", "/b", "000"): 1.0,
    }
    assert without_failures(failing) == {
        TrafficRoute("GET", "/a", "200"): 11.0,
        TrafficRoute("GET", "/a", "404"): 1.0,
        TrafficRoute("POST", "/b"): 1.0,
    }


def test_a_scenario_is_converted_into_stages() -> None:
    """The spike of loadtests/: the peak in the middle third, no traffic after the end, its mix of routes."""
    traffic = Traffic(**scenarios.traffic_fields("spike", rate=20, peak=100, duration=90))
    assert [(stage.after, stage.rps) for stage in traffic.stages] == [(0, 20), (30, 100), (60, 20), (90, 0)]
    seconds = np.array([-5.0, 0.0, 30.0, 59.9, 60.0, 90.0])
    assert rate_at(traffic, seconds).tolist() == [20, 20, 100, 100, 20, 0]
    assert traffic.mix == SHOP
    assert Traffic(**scenarios.traffic_fields("flash-sale")).mix[TrafficRoute("POST", "/api/checkout")] == 0.28


def test_a_scale_multiplies_a_scenario() -> None:
    """Rate and peak, and nothing else."""
    once, twice = (Traffic(**scenarios.traffic_fields("spike", scale=scale)) for scale in (1, 2))
    assert [(stage.after, 2 * stage.rps) for stage in once.stages] == [
        (stage.after, stage.rps) for stage in twice.stages
    ]
    assert (2 * once.rps, once.mix) == (twice.rps, twice.mix)


@pytest.mark.parametrize("name", locust_scenarios.load_scenarios().SCENARIOS)
def test_stages_have_all_requests_of_the_scenario(name: str) -> None:
    """For any shape, the stages add up to Locust's requests."""
    load = locust_scenarios.load_scenarios().SCENARIOS[name].load()
    stages = scenarios.traffic_fields(name)["stages"]
    sent = sum(stage.rps * (after.after - stage.after) for stage, after in pairwise(stages))
    assert sent == pytest.approx(load.total, rel=1e-6)


@pytest.mark.parametrize(("name", "peak", "problem"), [("storm", 100, "one of steady, spike"), ("spike", 5, "peak")])
def test_an_invalid_scenario_is_refused(name: str, peak: int, problem: str) -> None:
    """With the scenario's error, or with the known names."""
    with pytest.raises(errors.Invalid, match=problem):
        scenarios.traffic_fields(name, rate=20, peak=peak, duration=90)


def test_answer_times_are_the_middles_of_buckets() -> None:
    """Each with its share; what is above the last bound is later than any limit."""
    times = answer_times({0.1: 50.0, 0.25: 90.0, 0.5: 90.0, math.inf: 100.0})
    assert [(each.seconds, each.share) for each in times] == [
        (0.05, 0.5),
        (pytest.approx(0.175), pytest.approx(0.4)),
        (pytest.approx(1e6), pytest.approx(0.1)),
    ]
    assert answer_times({}) == answer_times({0.1: 0.0, math.inf: 0.0}) == []


def test_answer_times_have_a_share_of_1_though_a_bucket_has_less_than_the_one_below() -> None:
    """Rates of buckets differ by a request where a counter restarted."""
    times = answer_times({0.005: 528.0, 0.1: 580.0, 0.25: 579.0, math.inf: 579.0})
    assert sum(each.share for each in times) == pytest.approx(1, abs=1e-12)


def test_measured_latencies_are_kept_unless_one_is_given() -> None:
    """A baseline stands for all routes."""
    slow = MEASURED.model_copy(update={"latencies": {"GET /items/{id}": answer_times({0.25: 1.0})}})
    route = TrafficRoute("GET", "/items/{id}", "404")
    assert PartialTraffic(rps=3).completed(slow).answer_times(route)[0].seconds == 0.125
    assert PartialTraffic(baseline=0.5).completed(slow).answer_times(route)[0].seconds == 0.5
    assert slow.answer_times(TrafficRoute("POST", "/items", "202"))[0].seconds == 0.004
