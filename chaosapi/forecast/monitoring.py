"""How often and how far back Prometheus looks, and how patient Alertmanager is."""

from typing import TYPE_CHECKING, Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi.durations import Duration
from chaosapi.models import Integer, Model

if TYPE_CHECKING:
    from chaosapi.slo.windows import Profile

Interval = Annotated[Duration, Field(ge=0.01)]


class Monitoring(Model):
    """The settings of Prometheus and Alertmanager that move an alert in time."""

    scrape: Interval = 15.0
    """The scrape interval."""
    evaluation: Interval = 15.0
    """How often the rules are evaluated."""
    pending_for: Duration = 0.0
    """The alerts' `for`; the generated ones have none."""
    group_wait: Duration = 10.0
    """How long Alertmanager waits with the first notification of a group; as in alerts/alertmanager.yml."""
    group_interval: Interval = 60.0
    """How long until it tells what joined or left the group."""
    min_failures: Annotated[Integer, Field(ge=1)] = 1
    """How many bad events the long window must hold, if the rules were made with it."""
    history: Duration | None = None
    """How long counters have been scraped before the faults; unless given, longer than every window."""
    horizon: Duration | None = None
    """How far to look ahead; unless given, until everything is over."""
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
    """Return the settings that fit a profile: those of `chaosapi lab` for windows of seconds, else common ones."""
    if profile.step < 15:
        step = profile.step
        return Monitoring(scrape=step, evaluation=step, group_wait=0, group_interval=1)
    return Monitoring()
