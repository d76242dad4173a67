"""The part of the forecasts that needs the extra `forecast`; imported on first use."""

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
from chaosapi.forecast.presence import Place, acted
from chaosapi.forecast.result import Forecast
from chaosapi.forecast.scorecard import Score
from chaosapi.forecast.traffic import Traffic
from chaosapi.slo import windows
from chaosapi.slo.spec import Spec
from chaosapi.slo.spec import load as load_spec
from chaosapi.slo.windows import Profile
from chaosapi.store.alerts import DeliveredAlert

EFFORT: Final = Effort(steps=500_000, cells=2_000_000, episodes=2_000, samples=4_000_000, delays=50_000)
"""The limits of one forecast in the service: about a second and 100 MiB. `chaosapi forecast` has higher limits."""


class Predictor:
    """Computes forecasts and scores for the SLOs of one file, with the windows of one profile.

    A computation calls `check` between its steps; `check` stops it by raising.
    """

    def __init__(self, spec: Spec, profile: Profile, check: Callable[[], None]) -> None:
        self._spec = spec
        self._profile = profile
        self._effort = replace(EFFORT, check=check)

    @classmethod
    def load(cls, source: Path, profile: str, check: Callable[[], None]) -> "Predictor":
        """Read the SLO file and the profile; raises Invalid for an unreadable file."""
        return cls(load_spec(source), windows.load(profile), check)

    def rate_for(self, fault: Fault, rate: BurnRate, traffic: Traffic) -> tuple[float, str]:
        """Return the rate that burns the budget at this burn rate, and its calculation; raises Invalid if none does."""
        burn = inverse.rate_for(fault, rate.burn_rate, rate.slo, self._spec, traffic)
        return burn.rate, burn.sum

    def forecast(self, fault: Fault, traffic: Traffic, monitoring: Monitoring | None, place: Place) -> Forecast:
        """Forecast one fault; raises Invalid if the windows are too short for the scrape interval."""
        assumed = default_monitoring(self._profile)
        if monitoring:
            overrides = {name: getattr(monitoring, name) for name in monitoring.model_fields_set}
            assumed = assumed.model_copy(update=overrides)
        return timetable.forecast([fault], traffic, self._spec, self._profile, assumed, self._effort, place)

    def score(
        self,
        record: Record,
        records: Sequence[Record],
        delivered: Sequence[DeliveredAlert],
        traffic: Traffic,
        now: float,
        place: Place,
    ) -> Score:
        """Compare the fault's forecast with the alerts that Alertmanager delivered."""
        record, left_out = acted(record, place)
        records = [acted(each, place)[0] for each in records if each.name != record.name]
        model = ForecastModel(
            [record.spec], traffic, self._spec, self._profile, default_monitoring(self._profile), self._effort
        )
        observed = Observed(delivered=[_notification(alert) for alert in delivered])
        score = scoring.score(record.name, replay.replay_fault(record, records, model), observed, now)
        return score.model_copy(update={"missing": [*left_out, *score.missing]})


def _notification(alert: DeliveredAlert) -> DeliveredNotification:
    return DeliveredNotification(**{name: getattr(alert, name) for name in DeliveredNotification.model_fields})
