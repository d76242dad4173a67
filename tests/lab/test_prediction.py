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
    """Return the demo's prediction for a rate of requests."""
    return Prediction(ExpectedAlert(slo, LAB.pairs[0]), demo.FAULT, Traffic.of_shop(rate), SHOP, LAB)


def test_every_step_of_the_demo_is_forecast() -> None:
    """The theory gives 4.3 s to the page and 4.6 s to its end; scrapes and evaluations round up to seconds."""
    moments = predict().moments(ended=10)
    assert moments[timeline.FIRING].expected == 5
    assert moments[timeline.RECEIVED].expected == 5
    assert moments[timeline.RESOLVED].expected == 14
    assert moments.keys() == set(timeline.MOMENTS) - {timeline.APPLIED, timeline.ENDED}


def firing(status: int) -> float:
    """Return when a fault of 5 % with this status pages, at 20 requests/s."""
    fault = demo.FAULT.model_copy(update={"effect": Error(status=status), "rate": 0.05})
    return dataclasses.replace(predict(20), fault=fault).moments()[timeline.FIRING].expected


@pytest.mark.parametrize("status", [500, 504])
def test_every_preset_status_pages_as_early_as_503(status: int) -> None:
    """No series starts with the burst, so no scrape is lost."""
    assert firing(status) == firing(503)


def test_a_status_of_a_fault_alone_pages_at_most_a_scrape_later() -> None:
    """Its series exists from the fault's creation: only what comes before the next scrape, a second, is lost."""
    assert firing(503) <= firing(599) <= firing(503) + 1


def test_little_traffic_spreads_the_range() -> None:
    """With few errors, chance moves the alert by seconds."""
    wide, narrow = (predict(rate).moments()[timeline.FIRING] for rate in (20, 1e9))
    assert narrow.earliest is not None
    assert narrow.latest is not None
    assert wide.earliest is not None
    assert wide.latest is not None
    assert wide.earliest < narrow.earliest
    assert wide.latest > narrow.latest


def test_the_resolution_is_not_predicted_before_the_faults_end() -> None:
    """The time of the resolution depends on the fault's end."""
    assert timeline.RESOLVED not in predict().moments()


def test_a_fault_ended_sooner_than_expected_still_resolves() -> None:
    """It paged early by chance, and was ended then."""
    assert predict().moments(ended=4.0)[timeline.RESOLVED].expected > 4


def test_an_alert_that_will_not_fire_is_reported() -> None:
    """An error fault does not violate the latency SLO."""
    with pytest.raises(LabError, match="will not fire"):
        predict(slo="latency").moments()
