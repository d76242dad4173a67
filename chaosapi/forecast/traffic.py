"""How many requests arrive, where and when."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi import errors
from chaosapi.durations import Duration
from chaosapi.forecast import locust_scenarios
from chaosapi.models import Integer, Model, Number, Ratio, at_most_entries

Requests = Annotated[Number, Field(ge=0, le=1e9)]


class TrafficRoute(NamedTuple):
    """A route as the request metrics label it, and the status of its success."""

    method: str
    handler: str

    @property
    def success(self) -> str:
        """Return the status of a healthy answer: whoever posts to the shop makes something."""
        return "201" if self.method == "POST" else "200"


SHOP: dict[TrafficRoute, float] = {
    TrafficRoute(*name.split()): share for name, share in locust_scenarios.load_scenarios().MIX.items()
}
"""What share of the traffic each route gets from Locust."""


class Stage(Model):
    """A change of the traffic."""

    after: Duration
    """How long after the faults were created."""
    rps: Requests
    """Requests per second from then on."""


class Traffic(Model):
    """The requests that users send, whatever happens to them (an open loop)."""

    rps: Annotated[Number, Field(gt=0, le=1e9)] = 100.0
    """Requests per second: before the faults, and until the first stage."""
    stages: Annotated[list[Stage], Field(max_length=10_000)] = Field(default_factory=list)
    """How the rate changes from then on; a Locust scenario becomes these."""
    shares: Annotated[dict[str, Ratio], Field(max_length=1000), at_most_entries(1000)] = Field(default_factory=dict)
    """Shares of the traffic by route (`/api/checkout`, or `POST /api/checkout`); the shop's other routes share the rest
    as they do in loadtests/."""
    replicas: Annotated[Integer, Field(ge=1, le=10_000)] = 1
    """How many processes, each with counters of its own, serve it in equal parts."""
    baseline: Duration = 0.004
    """How long a healthy answer takes."""
    client_timeout: Duration = 30.0
    """When a client gives up on a request that hangs."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        total = sum(self.shares.values())
        if total > 1 + 1e-9:
            raise PydanticCustomError("shares", "shares add up to {total}: at most 1", {"total": f"{total:g}"})
        routes = Counter(map(_route, self.shares))
        if twice := next((route for route, count in routes.items() if count > 1), None):
            raise PydanticCustomError("shares", "shares: {route} is there twice", {"route": " ".join(twice)})
        starts = [stage.after for stage in self.stages]
        if starts != sorted(starts):
            raise PydanticCustomError("stages", "stages come in the order of their times")
        return self

    @classmethod
    def from_rates(cls, rates: Iterable[tuple[Mapping[str, str], float]], replicas: int = 1) -> "Traffic":
        """Make it of measured rates per second, each with the labels `method` and `handler` of its route.

        Raises errors.Invalid where nothing was served.
        """
        served = {f"{labels['method']} {labels['handler']}": rate for labels, rate in rates if rate > 0}
        rps = sum(served.values())
        if not rps:
            raise errors.Invalid.field("traffic", "no request was served in this time: tell the requests/s instead")
        return cls(rps=rps, shares={route: rate / rps for route, rate in served.items()}, replicas=max(1, replicas))

    @property
    def mix(self) -> dict[TrafficRoute, float]:
        """Return the share of each route; they add up to 1 unless the given ones name every route."""
        given = {_route(name): share for name, share in self.shares.items()}
        others = {route: share for route, share in SHOP.items() if route not in given}
        left = max(0.0, 1 - sum(given.values())) / sum(others.values()) if others else 0.0
        return {route: share for route, share in ({r: s * left for r, s in others.items()} | given).items() if share}


def _route(name: str) -> TrafficRoute:
    method, _, handler = name.rpartition(" ")
    if method:
        return TrafficRoute(method.upper(), handler)
    return next((route for route in SHOP if route.handler == handler), TrafficRoute("GET", handler))
