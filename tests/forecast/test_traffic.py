import re

import numpy as np
import pytest
from pydantic import ValidationError

from chaosapi import assets, errors
from chaosapi.forecast import scenarios
from chaosapi.forecast.traffic import SHOP, Route, Traffic


def test_the_mix_is_that_of_the_load_tests() -> None:
    """Locust's weights are the forecast's shares, but for checkouts of empty carts, which fill them instead."""
    text = (assets.path("loadtests") / "_users.py").read_text()
    look, product, search, add, buy, order = (int(each) / 100 for each in re.findall(r"@task\((\d+)\)", text))
    full = (add + buy) / (add + buy + buy)
    shares = [look, product, search, add + buy * (1 - full), buy * full, order]
    assert list(SHOP.values()) == pytest.approx(shares, abs=1e-4)


def test_given_shares_leave_the_rest_to_the_others() -> None:
    """In the shop's proportions; a route that the shop lacks is a GET unless it says otherwise."""
    mix = Traffic(shares={"/api/checkout": 0.53, "/extra": 0.1}).mix
    assert mix[Route("POST", "/api/checkout")] == 0.53
    assert mix[Route("GET", "/extra")] == 0.1
    assert mix[Route("GET", "/api/products")] == pytest.approx(0.37 * 0.3 / (1 - SHOP[Route("POST", "/api/checkout")]))
    assert sum(mix.values()) == pytest.approx(1)


def test_more_than_all_of_the_traffic_is_refused() -> None:
    """Shares are of one whole."""
    with pytest.raises(ValidationError, match=r"add up to 1\.3"):
        Traffic(shares={"/a": 0.7, "/b": 0.6})


def test_a_scenario_becomes_stages() -> None:
    """The spike of loadtests/: its middle third at the peak, nothing once it is over."""
    stages = scenarios.stages("spike", rate=20, peak=100, duration=90)
    assert [(stage.after, stage.rps) for stage in stages] == [(0, 20), (30, 100), (60, 20), (90, 0)]
    seconds = np.array([-5.0, 0.0, 30.0, 59.9, 60.0, 90.0])
    assert Traffic(rps=20, stages=stages).rate_at(seconds).tolist() == [20, 20, 100, 100, 20, 0]


@pytest.mark.parametrize(("name", "peak", "problem"), [("storm", 100, "one of steady, spike"), ("spike", 5, "peak")])
def test_a_scenario_that_cannot_be_is_refused(name: str, peak: int, problem: str) -> None:
    """In the words of the scenario, or with the names that there are."""
    with pytest.raises(errors.Invalid, match=problem):
        scenarios.stages(name, rate=20, peak=peak, duration=90)
