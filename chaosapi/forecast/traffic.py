"""The traffic: requests per second over time, and shares by route."""

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
        """Return the status of a healthy answer: POST creates a resource (201)."""
        return "201" if self.method == "POST" else "200"


SHOP: dict[TrafficRoute, float] = {
    TrafficRoute(*name.split()): share for name, share in locust_scenarios.load_scenarios().MIX.items()
}
"""The share of each route in the traffic that Locust sends."""


class Stage(Model):
    """A change of the request rate."""

    after: Duration
    """The time of the change, after the creation of the faults."""
    rps: Requests
    """Requests per second from then on."""


class Traffic(Model):
    """The requests that users send, whatever happens to them (an open loop)."""

    rps: Annotated[Number, Field(gt=0, le=1e9)] = 100.0
    """Requests per second before the faults and until the first stage."""
    stages: Annotated[list[Stage], Field(max_length=10_000)] = Field(default_factory=list)
    """Changes of the request rate; a Locust scenario is converted to stages."""
    shares: Annotated[dict[str, Ratio], Field(max_length=1000), at_most_entries(1000)] = Field(default_factory=dict)
    """Shares of the traffic by route (`/api/checkout`, or `POST /api/checkout`); the other routes of the shop share
    the rest in the proportions of loadtests/."""
    replicas: Annotated[Integer, Field(ge=1, le=10_000)] = 1
    """The processes, each with counters of its own, that serve the traffic in equal parts."""
    baseline: Duration = 0.004
    """The latency of a healthy answer."""
    client_timeout: Duration = 30.0
    """The time-out of clients: a request that takes longer ends without an answer, and counts as failed (000)."""

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
            raise PydanticCustomError("stages", "stages must be in the order of their times")
        return self

    @classmethod
    def from_rates(cls, rates: Iterable[tuple[Mapping[str, str], float]], replicas: int = 1) -> "Traffic":
        """Return traffic with measured rates per second, each with the labels `method` and `handler` of its route.

        Raises errors.Invalid for rates that are all 0.
        """
        served = {f"{labels['method']} {labels['handler']}": rate for labels, rate in rates if rate > 0}
        rps = sum(served.values())
        if not rps:
            raise errors.Invalid.field("traffic", "no request was served in this time: give the requests/s instead")
        return cls(rps=rps, shares={route: rate / rps for route, rate in served.items()}, replicas=max(1, replicas))

    @property
    def mix(self) -> dict[TrafficRoute, float]:
        """Return the share of each route; the shares add up to 1 unless `shares` names every route."""
        given = {_route(name): share for name, share in self.shares.items()}
        others = {route: share for route, share in SHOP.items() if route not in given}
        left = max(0.0, 1 - sum(given.values())) / sum(others.values()) if others else 0.0
        return {route: share for route, share in ({r: s * left for r, s in others.items()} | given).items() if share}


def _route(name: str) -> TrafficRoute:
    method, _, handler = name.rpartition(" ")
    if method:
        return TrafficRoute(method.upper(), handler)
    return next((route for route in SHOP if route.handler == handler), TrafficRoute("GET", handler))
