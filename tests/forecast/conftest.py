from collections.abc import Callable
from typing import Any

import pytest

from chaosapi import assets
from chaosapi.faults.fault import Fault
from chaosapi.forecast.model import ForecastModel
from chaosapi.forecast.monitoring import default_monitoring
from chaosapi.forecast.presence import Place
from chaosapi.forecast.traffic import PartialTraffic, Traffic
from chaosapi.slo import spec, windows

Ask = Callable[..., ForecastModel]


@pytest.fixture
def ask() -> Ask:
    """Return a function that forecasts faults of the shop: bodies, and changes of the lab's monitoring."""

    def model(
        *faults: dict[str, Any],
        traffic: dict[str, Any] | None = None,
        profile: str = "lab",
        place: Place | None = None,
        **monitoring: Any,
    ) -> ForecastModel:
        chosen = windows.load(profile)
        return ForecastModel.of(
            [Fault.model_validate(fault) for fault in faults],
            place,
            PartialTraffic.model_validate(traffic or {}).completed(Traffic.of_shop()),
            spec.load(assets.path("alerts") / "slo.yaml"),
            chosen,
            type(default_monitoring(chosen)).model_validate(default_monitoring(chosen).model_dump() | monitoring),
        )

    return model
