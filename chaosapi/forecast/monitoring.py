"""Settings of Prometheus and Alertmanager: intervals, history, group_wait and group_interval."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import Duration
from chaosapi.models import Integer, Model

if TYPE_CHECKING:
    from chaosapi.slo.windows import Profile

Interval = Annotated[Duration, Field(ge=0.01)]


class Monitoring(Model):
    """The settings of Prometheus and Alertmanager that affect when an alert fires."""

    scrape: Interval = 15.0
    """The scrape interval."""
    evaluation: Interval = 15.0
    """The evaluation interval of the rules."""
    pending_for: Duration = 0.0
    """The alerts' `for`; generated alerts have none."""
    group_wait: Duration = 10.0
    """Alertmanager's delay before the first notification of a group; the default is that of alerts/alertmanager.yml."""
    group_interval: Interval = 60.0
    """Alertmanager's delay between notifications about changes of a group."""
    min_failures: Annotated[Integer, Field(ge=1)] = 1
    """The bad events that the long window must hold, if the rules were generated with `--min-failures`."""
    history: Duration | None = None
    """How long counters were scraped before the faults; by default longer than every window."""
    horizon: Duration | None = None
    """The length of the forecast; by default until every alert has resolved."""
    prometheus: Literal[2, 3] = 3
    """Windows are left-open since version 3: the sample at their left edge does not count."""

    @model_validator(mode="after")
    def _whole(self) -> Self:
        for name in ("scrape", "evaluation"):
            milliseconds = getattr(self, name) * 1000
            if abs(milliseconds - round(milliseconds)) > 1e-6:
                raise PydanticCustomError("interval", "{name}: a whole number of milliseconds", {"name": name})
        return self


def default_monitoring(profile: "Profile") -> Monitoring:
    """Return the settings that fit a profile: those of `chaosapi lab` for windows of seconds, else common defaults."""
    if profile.step < 15:
        step = profile.step
        return Monitoring(scrape=step, evaluation=step, group_wait=0, group_interval=1)
    return Monitoring()
