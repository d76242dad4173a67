"""The traffic: requests per second over time, and shares by route and status."""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Final, NamedTuple, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from chaosapi import errors
from chaosapi.durations import Duration
from chaosapi.forecast import locust_scenarios
from chaosapi.models import Model, Number, Ratio, at_most_entries
from chaosapi.routes import is_failure

_NAME: Final = re.compile(r"(?:([A-Za-z]+) )?(.*?)(?: ([0-9]{3}))?", re.DOTALL)
_LONGEST_S: Final = 1e6
_WHOLE: Final = 1 - 1e-6
"""Shares that add up to this are those of all routes."""

Requests = Annotated[Number, Field(ge=0, le=1e9)]
Rps = Annotated[Number, Field(gt=0, le=1e9)]
Shares = Annotated[dict[str, Ratio], Field(max_length=1000), at_most_entries(1000)]


class TrafficRoute(NamedTuple):
    """A route as the request metrics label it, and the status of its answers without a fault."""

    method: str
    handler: str
    status: str | None = None
    """None: the usual status of the method."""

    def __str__(self) -> str:
        return f"{self.method} {self.handler}" + (f" {self.status}" if self.status else "")

    @property
    def success(self) -> str:
        """Return the status without a fault; unless known, POST creates a resource (201)."""
        return self.status or ("201" if self.method == "POST" else "200")

    @property
    def is_failure(self) -> bool:
        """Return whether the answer is a server error, or none at all."""
        return is_failure(self.success)

    @property
    def labels(self) -> dict[str, str]:
        """Return the labels of the request metrics."""
        return {"method": self.method, "handler": self.handler, "status": self.success}


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


class AnswerTime(Model):
    """A share of a route's answers, and how long these take without a fault."""

    seconds: Annotated[Number, Field(ge=0)]
    share: Ratio


def answer_times(buckets: Mapping[float, float]) -> list[AnswerTime]:
    """Return answer times from the counts in a histogram's cumulative buckets, by their upper bounds in seconds.

    All answers of a bucket take as long as its middle; those above the last bound longer than anything asks for. A
    bucket may have less than the one below it, since rates of buckets differ by a request where a counter restarted.
    """
    ordered = sorted(buckets.items())
    total = max(buckets.values(), default=0.0)
    times = []
    below = (0.0, 0.0)
    for bound, count in ordered:
        if total and count > below[1]:
            middle = (below[0] + bound) / 2 if math.isfinite(bound) else _LONGEST_S
            times.append(AnswerTime(seconds=middle, share=(count - below[1]) / total))
        below = (bound, max(count, below[1]))
    return times


def answer_times_by_route(rates: Mapping[tuple[str, str, str], float]) -> dict[str, list[AnswerTime]]:
    """Return answer times by route (`POST /items`), from the rates of its buckets by method, handler and bound."""
    buckets: dict[str, dict[float, float]] = {}
    for (method, handler, bound), rate in rates.items():
        buckets.setdefault(f"{method} {handler}", {})[float(bound)] = rate
    times = {route: answer_times(counts) for route, counts in buckets.items()}
    return {route: each for route, each in times.items() if each}


def _check_order(stages: list[Stage]) -> None:
    starts = [stage.after for stage in stages]
    if starts != sorted(starts):
        raise PydanticCustomError("stages", "stages must be in the order of their times")


Stages = Annotated[list[Stage], Field(max_length=10_000)]


class Traffic(Model):
    """The requests that users send, whatever happens to them (an open loop)."""

    rps: Rps = 100.0
    """Requests per second before the faults and until the first stage."""
    stages: Stages = Field(default_factory=list)
    """Changes of the request rate; a Locust scenario is converted to stages."""
    shares: Annotated[dict[str, Ratio], Field(min_length=1)]
    """The share of each route: `GET /api/products`, with a status where it is not the usual one. They add up to 1."""
    baseline: Duration = 0.004
    """The latency of a healthy answer, on routes whose latencies are not measured."""
    latencies: dict[str, list[AnswerTime]] = Field(default_factory=dict)
    """How long answers take without a fault, by method and route; for other routes `baseline`."""
    client_timeout: Duration = 30.0
    """The time-out of clients, after which they abort a request that hangs."""
    source: str = "as given"
    """Where these figures come from."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        total = sum(self.shares.values())
        if not _WHOLE <= total <= 2 - _WHOLE:
            raise PydanticCustomError("shares", "shares add up to {total}, not to 1", {"total": f"{total:g}"})
        _check_order(self.stages)
        return self

    @classmethod
    def of_shop(cls, rps: float = 100.0) -> Self:
        """Return the traffic that Locust sends to the shop."""
        mix = {str(route): share for route, share in SHOP.items()}
        return cls(rps=rps, shares=mix, source="the shop's usual traffic")

    @classmethod
    def from_rates(cls, rates: Mapping[TrafficRoute, float], source: str) -> Self:
        """Return traffic with measured rates per second; raises errors.Invalid for rates that are all 0."""
        rps = sum(rates.values())
        if not rps:
            raise errors.Invalid.field("traffic", f"{source}: no request was counted")
        shares = {str(route): rate / rps for route, rate in rates.items() if rate > 0}
        return cls(rps=rps, shares=shares, source=source)

    @property
    def mix(self) -> dict[TrafficRoute, float]:
        """Return the share of each route."""
        return {_route(name): share for name, share in self.shares.items()}

    @property
    def most_answer_times(self) -> int:
        """Return how many different answer times a route has at most."""
        return max((len(times) for times in self.latencies.values()), default=1)

    def answer_times(self, route: TrafficRoute) -> tuple[AnswerTime, ...]:
        """Return how long answers of a route take without a fault."""
        known = self.latencies.get(f"{route.method} {route.handler}")
        return tuple(known or [AnswerTime(seconds=self.baseline, share=1.0)])


class PartialTraffic(Model):
    """What is said about the traffic. What is left out is measured, or the shop's usual traffic."""

    rps: Rps | None = None
    """Requests per second before the faults and until the first stage."""
    stages: Stages = Field(default_factory=list)
    """Changes of the request rate."""
    shares: Shares = Field(default_factory=dict)
    """Shares of the traffic by route (`/items`, `POST /items`, `POST /items 404`); the other routes share the rest in
    the measured proportions."""
    baseline: Duration | None = None
    """The latency of a healthy answer; 4 ms, unless it is measured."""
    client_timeout: Duration = 30.0
    """The time-out of clients: a request that takes longer ends without an answer, and counts as failed (000)."""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        total = sum(self.shares.values())
        if total > 2 - _WHOLE:
            raise PydanticCustomError("shares", "shares add up to {total}: at most 1", {"total": f"{total:g}"})
        if twice := _repeated(self.shares):
            raise PydanticCustomError("shares", "shares: {route} is there twice", {"route": twice})
        _check_order(self.stages)
        return self

    @property
    def is_whole(self) -> bool:
        """Return whether nothing needs to be measured."""
        return self.rps is not None and sum(self.shares.values()) >= _WHOLE

    def completed(self, usual: Traffic | None) -> Traffic:
        """Return the traffic, with what is not given from `usual`; raises errors.Invalid where that is not known."""
        if usual is None and not self.is_whole:
            unknown = "requests/s" if self.rps is None else "shares of the routes"
            raise errors.Invalid.field(
                "traffic", f"the {unknown} are not known: give requests/s, and shares of the routes that add up to 1"
            )
        base = usual.mix if usual else {}
        given = dict(_distributed(self.shares, base))
        others = {route: share for route, share in base.items() if not any(_names(name, route) for name in self.shares)}
        left = max(0.0, 1 - sum(given.values()))
        whole = sum(others.values())
        if left > 1 - _WHOLE and not whole:
            raise errors.Invalid.field(
                "traffic.shares", f"shares add up to {1 - left:g}, and no other route has any traffic"
            )
        rest = {route: share / whole * left for route, share in others.items()} if left > 1 - _WHOLE else {}
        return Traffic(
            rps=self.rps or (usual.rps if usual else 0.0),
            stages=self.stages,
            shares={str(route): share for route, share in (rest | given).items()},
            latencies=usual.latencies if usual and self.baseline is None else {},
            **({} if self.baseline is None else {"baseline": self.baseline}),
            client_timeout=self.client_timeout,
            source=self._source(usual),
        )

    def _source(self, usual: Traffic | None) -> str:
        parts = {"requests/s": self.rps, "shares": self.shares}
        given = [name for name, value in parts.items() if value]
        if usual is None or self.is_whole:
            return "as given"
        return f"{usual.source}; {' and '.join(given)} as given" if given else usual.source


def without_failures(rates: Mapping[TrafficRoute, float]) -> dict[TrafficRoute, float]:
    """Return the rates with failures counted as the route's most frequent other answer, as before any fault."""
    healthy: defaultdict[TrafficRoute, float] = defaultdict(float)
    ordered = sorted(rates.items(), key=lambda each: (each[0].is_failure, -each[1]))
    main: dict[tuple[str, str], TrafficRoute] = {}
    for route, rate in ordered:
        usual = main.setdefault(route[:2], TrafficRoute(route.method, route.handler) if route.is_failure else route)
        healthy[usual if route.is_failure else route] += rate
    return dict(healthy)


def _parts(name: str) -> tuple[str, str, str | None]:
    """Return method (or an empty string), handler and status of a name such as `POST /items 404`."""
    found = _NAME.fullmatch(name)
    assert found is not None  # noqa: S101 - the pattern matches any text of one line
    return found[1] or "", found[2], found[3]


def _repeated(names: Iterable[str]) -> str | None:
    """Return a name whose route another name means too, as `/items` means `POST /items`."""
    seen = Counter((method.upper(), handler, status) for method, handler, status in map(_parts, names))
    for method, handler, status in seen:
        wider = {(one, handler, other) for one in ("", method) for other in (None, status)}
        if sum(seen[each] for each in wider) > 1:
            return str(TrafficRoute(method, handler, status)).strip()
    return None


def _route(name: str) -> TrafficRoute:
    method, handler, status = _parts(name)
    return TrafficRoute(method.upper() or "GET", handler, status)


def _names(name: str, route: TrafficRoute) -> bool:
    """Return whether a name, with or without method and status, is one of this route."""
    method, handler, status = _parts(name)
    return handler == route.handler and method.upper() in {"", route.method} and status in {None, route.success}


def _distributed(
    shares: Mapping[str, float], base: Mapping[TrafficRoute, float]
) -> Iterator[tuple[TrafficRoute, float]]:
    """Yield the share of each route that a name stands for, in the proportions of the base."""
    for name, share in shares.items():
        meant = {route: usual for route, usual in base.items() if _names(name, route)} or {_route(name): 1.0}
        whole = sum(meant.values())
        yield from ((route, share * usual / whole) for route, usual in meant.items())
