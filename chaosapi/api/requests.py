"""The fault of a request: its rate is a ratio, or a burn rate to be converted into one."""

from typing import Annotated, Any

from pydantic import Discriminator, Field, Tag

from chaosapi.faults.fault import Fault
from chaosapi.models import Model, Number, Ratio


class BurnRate(Model):
    """The rate that burns an SLO's error budget at this burn rate, with the traffic of the last minute."""

    burn_rate: Annotated[Number, Field(gt=0, le=1e6)]
    """The multiple of the sustainable rate: 14.4 spends 2 % of a 30-day budget in an hour."""
    slo: Annotated[str, Field(min_length=1, max_length=200)]
    """The SLO's name in the SLO file, with or without the service: `shop-availability`."""


def _kind(value: Any) -> str:
    return "burn" if isinstance(value, dict | BurnRate) else "ratio"


Rate = Annotated[Annotated[Ratio, Tag("ratio")] | Annotated[BurnRate, Tag("burn")], Discriminator(_kind)]


class FaultRequest(Fault):
    """What to inject, how often, where and when. Only `effect` is required."""

    rate: Rate = 1.0  # type: ignore[assignment]  # wider than a fault's rate: `resolved` narrows it
    """The share of the matching requests to hit: a ratio above 0 and at most 1, or `{"burn_rate", "slo"}`."""

    def resolved(self, name: str | None, rate: float, rate_sum: str) -> Fault:
        """Return the fault with this name, and this rate as a ratio; `rate_sum` shows its calculation."""
        fields = {field: value for field, value in self.fields().items() if field in Fault.names()}
        return Fault(**{**fields, "name": name, "rate": rate, "rate_sum": rate_sum})
