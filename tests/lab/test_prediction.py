import dataclasses

import pytest

from chaosapi import assets
from chaosapi.effects import Error
from chaosapi.forecast.traffic import Traffic
from chaosapi.lab import demo, timeline
from chaosapi.lab.errors import LabError
from chaosapi.lab.prediction import Prediction
from chaosapi.lab.timeline import ExpectedAlert
from chaosapi.slo import spec, windows

LAB = windows.load("lab")
SHOP = spec.load(assets.path("alerts") / "slo.yaml")


def predict(rate: float = 1e9, slo: str = "availability") -> Prediction:
    """Make the demo's prediction, with so many requests/s."""
    return Prediction(ExpectedAlert(slo, LAB.pairs[0]), demo.FAULT, Traffic.of_shop(rate), SHOP, LAB)


def test_every_moment_is_forecast() -> None:
    """Theory says 4.3 s to the page and 4.6 s to its end; scrapes and evaluations make whole seconds of them."""
    moments = predict().moments(ended=10)
    assert moments[timeline.FIRING].expected == 5
    assert moments[timeline.RECEIVED].expected == 5
    assert moments[timeline.RESOLVED].expected == 14
    assert moments.keys() == set(timeline.MOMENTS) - {timeline.APPLIED, timeline.ENDED}


def firing(status: int) -> float:
    """Forecast when a fault of 5 % with this status pages, at 20 requests/s."""
    fault = demo.FAULT.model_copy(update={"effect": Error(status=status), "rate": 0.05})
    return dataclasses.replace(predict(20), fault=fault).moments()[timeline.FIRING].expected


@pytest.mark.parametrize("status", [500, 504])
def test_every_status_that_is_counted_from_the_start_pages_as_early_as_503(status: int) -> None:
    """No series is born with the burst, so no scrape is lost."""
    assert firing(status) == firing(503)


def test_a_status_that_is_born_with_its_first_error_pages_later() -> None:
    """Prometheus has no sample before the burst."""
    assert firing(599) == firing(503) + 5


def test_little_traffic_spreads_the_range() -> None:
    """With few errors to wait for, chance alone moves the alert by seconds."""
    wide, narrow = (predict(rate).moments()[timeline.FIRING] for rate in (20, 1e9))
    assert narrow.earliest is not None
    assert narrow.latest is not None
    assert wide.earliest is not None
    assert wide.latest is not None
    assert wide.earliest < narrow.earliest
    assert wide.latest > narrow.latest


def test_nothing_after_the_end_is_predicted_before_it() -> None:
    """While the fault runs there is no telling when its alert resolves."""
    assert timeline.RESOLVED not in predict().moments()


def test_a_fault_ended_sooner_than_expected_still_resolves() -> None:
    """With luck it paged, and was ended, before its time."""
    assert predict().moments(ended=4.0)[timeline.RESOLVED].expected > 4


def test_an_alert_that_will_not_fire_is_told() -> None:
    """Errors are not slow."""
    with pytest.raises(LabError, match="will not fire"):
        predict(slo="latency").moments()
