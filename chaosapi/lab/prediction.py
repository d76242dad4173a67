"""The forecast of one alert under one fault, moment by moment."""

from dataclasses import dataclass
from typing import NamedTuple

from chaosapi.faults.fault import Fault
from chaosapi.forecast import timetable
from chaosapi.forecast.monitoring import default_monitoring
from chaosapi.forecast.result import ForecastAlert
from chaosapi.forecast.traffic import Traffic
from chaosapi.lab import timeline
from chaosapi.lab.errors import LabError
from chaosapi.lab.timeline import ExpectedAlert
from chaosapi.slo.spec import Spec
from chaosapi.slo.windows import Profile


class PredictedMoment(NamedTuple):
    """A moment in seconds after the injection: as expected, and its range by chance, where known."""

    expected: float
    earliest: float | None = None
    latest: float | None = None


@dataclass(frozen=True)
class Prediction:
    """A fault, the traffic that it hits, and the alert that it is to fire."""

    alert: ExpectedAlert
    fault: Fault
    traffic: Traffic
    spec: Spec
    profile: Profile

    def moments(self, ended: float | None = None) -> dict[str, PredictedMoment]:
        """Return each moment; what follows the fault's end needs that end, in seconds after the injection.

        Raises LabError when the alert will not fire.
        """
        step = default_monitoring(self.profile).scrape
        alert = self._forecast_alert(self.fault.schedule.duration)
        fires = alert.moments[0]
        firing = fires.firing or 0.0
        notified = fires.notified or 0.0
        early = alert.chance.earliest
        late = alert.chance.latest
        moments = {
            timeline.BAD_SCRAPE: PredictedMoment(step, 0.0, step),
            timeline.PENDING: PredictedMoment(fires.pending, early, late),
        }
        moments |= {
            timeline.FIRING: PredictedMoment(firing, early, late),
            timeline.RECEIVED: PredictedMoment(notified, early, late),
        }
        if ended is not None:
            lasted = max(ended, notified + step)  # by chance it may have fired, and ended, earlier than expected
            last = self._forecast_alert(lasted).moments[-1]
            moments[timeline.RESOLVED] = PredictedMoment(ended + (last.resolved or lasted) - lasted)
            moments[timeline.RESOLVED_RECEIVED] = PredictedMoment(ended + (last.resolved_notified or lasted) - lasted)
        return moments

    def _forecast_alert(self, duration: float) -> ForecastAlert:
        schedule = self.fault.schedule.model_copy(update={"duration": duration})
        fault = self.fault.model_copy(update={"schedule": schedule})
        watching = default_monitoring(self.profile)
        found = timetable.forecast([fault], self.traffic, self.spec, self.profile, watching)
        labels = self.alert.labels.items()
        for each in found.alerts:
            if each.fires and labels <= each.model_dump().items():
                return each
        raise LabError(f"the forecast says that the alert {self.alert.labels} will not fire")
