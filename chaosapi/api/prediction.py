"""What the admin API asks of the forecast, which takes the extra of that name."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from chaosapi.api.requests import BurnRate
from chaosapi.faults.fault import Fault, Record
from chaosapi.forecast import inverse, replay, timetable
from chaosapi.forecast import score as scoring
from chaosapi.forecast.model import Effort, ForecastModel
from chaosapi.forecast.monitoring import Monitoring, default_monitoring
from chaosapi.forecast.observed import DeliveredNotification, Observed
from chaosapi.forecast.result import Forecast
from chaosapi.forecast.scorecard import Score
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo import spec, windows
from chaosapi.slo.spec import Spec
from chaosapi.slo.windows import Profile
from chaosapi.store.alerts import DeliveredAlert

EFFORT: Final = Effort(steps=500_000, cells=2_000_000, episodes=2_000, samples=4_000_000, delays=50_000)
"""What one forecast may take here: about a second, and 100 MiB while it lasts. `chaosapi forecast` takes more."""


class Predictor:
    """Works forecasts out for the SLOs of one file, under one profile of windows; stops where `check` raises."""

    def __init__(self, promised: Spec, profile: Profile, check: Callable[[], None]) -> None:
        self._spec = promised
        self._profile = profile
        self._effort = replace(EFFORT, check=check)

    @classmethod
    def of(cls, source: Path, profile: str, check: Callable[[], None]) -> "Predictor":
        """Read the files; raises Invalid."""
        return cls(spec.load(source), windows.load(profile), check)

    def rate_for(self, fault: Fault, rate: BurnRate, traffic: Traffic) -> tuple[float, str]:
        """Return the rate that burns so fast, and the sum that it comes from; raises Invalid where there is none."""
        burn = inverse.rate_for(fault, rate.burn_rate, rate.slo, self._spec, traffic)
        return burn.rate, burn.sum

    def forecast(self, fault: Fault, traffic: Traffic, monitoring: Monitoring | None) -> Forecast:
        """Forecast one fault; raises Invalid where the windows are too short for the scrape interval."""
        watching = default_monitoring(self._profile)
        if monitoring:
            given = {name: getattr(monitoring, name) for name in monitoring.model_fields_set}
            watching = watching.model_copy(update=given)
        return timetable.forecast([fault], traffic, self._spec, self._profile, watching, self._effort)

    def score(
        self,
        record: Record,
        records: Sequence[Record],
        delivered: Sequence[DeliveredAlert],
        traffic: Traffic,
        now: float,
    ) -> Score:
        """Compare the fault's forecast with what Alertmanager delivered."""
        model = ForecastModel(
            [record.spec], traffic, self._spec, self._profile, default_monitoring(self._profile), self._effort
        )
        facts = Observed(
            delivered=[
                DeliveredNotification(**{name: getattr(each, name) for name in DeliveredNotification.model_fields})
                for each in delivered
            ]
        )
        return scoring.score(record.name, replay.replay_fault(record, records, model), facts, now)
