"""The forecasts and scores of the admin API."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from fastapi import APIRouter, Request, Response
from pydantic import Field

from chaosapi import json_limits
from chaosapi.api.audit import FaultName
from chaosapi.api.bodies import route_class
from chaosapi.api.descriptions import refusals
from chaosapi.api.pages import json_response
from chaosapi.api.policy import Policy
from chaosapi.api.requests import BurnRate, FaultRequest
from chaosapi.errors import Busy, Conflict, Invalid, NotFound, NotInstalled
from chaosapi.extras import needed
from chaosapi.faults.fault import Fault, Record
from chaosapi.forecast.monitoring import Monitoring
from chaosapi.forecast.presence import Place, share_of_replicas
from chaosapi.forecast.result import Forecast
from chaosapi.forecast.scorecard import Score
from chaosapi.forecast.traffic import (
    SHOP,
    PartialTraffic,
    Traffic,
    TrafficRoute,
    answer_times_by_route,
    without_failures,
)
from chaosapi.injection.engine import Engine
from chaosapi.routing import RouteTable
from chaosapi.runtime.fleet import Fleet
from chaosapi.runtime.pool import Pools, cancel_on_disconnect
from chaosapi.store.alerts import MAX_ALERTS, DeliveredAlert, Inbox
from chaosapi.telemetry.traffic import SPAN_S, RateMeter

if TYPE_CHECKING:
    from chaosapi.api.prediction import Predictor

_MEASURED: Final = "measured in the last minute"
_NOTHING: Final = PartialTraffic()
_MAX_LISTED: Final = 10


class Meters(NamedTuple):
    """What the service measures of its traffic."""

    requests: RateMeter
    latencies: RateMeter


class ForecastRequest(FaultRequest):
    """A fault to forecast without injecting it, and the traffic and monitoring to assume."""

    traffic: PartialTraffic = PartialTraffic()
    """Default: the traffic of the last minute; for the shop without traffic, its default mix."""
    monitoring: Monitoring | None = None
    """Each field that is left out has the profile's default."""


class ForecastResponse(Forecast):
    """The forecast for a service that is healthy before the fault and has no other fault."""

    traffic: Traffic = Field(description="The traffic that the forecast assumes.")


class Forecaster:
    """Forecasts and scores faults for the SLOs of one file, with the windows of one profile.

    The predictor needs the extra `forecast` and is slow to import: the first request imports it and reads the files.
    A computation calls `check` between its steps; `check` stops it by raising. `names` returns the name of each live
    replica.
    """

    def __init__(
        self,
        source: Path,
        profile: str,
        meters: Meters,
        routes: RouteTable,
        engine: Engine,
        names: Callable[[], Sequence[str]],
        check: Callable[[], None] = lambda: None,
    ) -> None:
        self._source = source
        self._profile = profile
        self._meters = meters
        self._routes = routes
        self._engine = engine
        self._names = names
        self._check = check

    def load(self) -> None:
        """Load the predictor now; raises what `predictor` raises."""
        _ = self.predictor

    @cached_property
    def predictor(self) -> "Predictor":
        """Return the predictor; raises NotInstalled without the extra, and Invalid for an unreadable file."""
        with needed("a forecast", "forecast", NotInstalled):
            from chaosapi.api.prediction import Predictor
        return Predictor.load(self._source, self._profile, self._check)

    def resolve(self, draft: FaultRequest, name: str | None) -> Fault:
        """Return the fault called `name`, its rate as a ratio; raises Invalid if no rate reaches the burn rate.

        A burn rate needs traffic within the last minute; raises Invalid without.
        """
        rate = draft.rate
        if not isinstance(rate, BurnRate):
            return draft.resolved(name, rate, draft.rate_sum)
        predictor = self.predictor
        traffic = self._recent_traffic()
        if traffic is None:
            raise Invalid.field("rate.burn_rate", "there was no traffic in the last minute: send some, or give a ratio")
        fault = draft.resolved(name, 1.0, "")
        needed_rate, text = predictor.rate_for(fault, rate, traffic)
        share = share_of_replicas(fault, self._place()) or 1.0
        if share == 1:
            return draft.resolved(name, needed_rate, text)
        if needed_rate > share:
            message = f"the target's replicas get {share:.0%} of the requests: to fail all of them burns less"
            raise Invalid.field("rate.burn_rate", message)
        return draft.resolved(name, needed_rate / share, f"{text}; on {share:.0%} of the requests, by its replicas")

    def forecast(
        self, fault: Fault, traffic: PartialTraffic = _NOTHING, monitoring: Monitoring | None = None
    ) -> ForecastResponse:
        """Forecast one fault; raises Invalid where that is impossible.

        It is where neither the request nor the last minute says what traffic there is, where no SLO or not the fault
        gets any request, and where windows are too short for the scrape interval.
        """
        predictor = self.predictor
        assumed = self._complete(traffic)
        forecast = predictor.forecast(fault, assumed, monitoring, self._place())
        return ForecastResponse(**{name: getattr(forecast, name) for name in Forecast.model_fields}, traffic=assumed)

    def score(
        self, record: Record, records: Sequence[Record], delivered: Sequence[DeliveredAlert], now: float
    ) -> Score:
        """Compare the fault's forecast with the delivered alerts; `missing` lists what Prometheus would add."""
        predictor = self.predictor
        traffic = self._complete(PartialTraffic())
        score = predictor.score(record, records, delivered, traffic, now, self._place())
        assumption = f"the traffic is assumed to be {traffic.rps:.3g} requests/s, {traffic.source}"
        return score.model_copy(update={"missing": [assumption, *score.missing]})

    def _place(self) -> Place:
        state = self._engine.state
        return Place(state.world, self._names(), state.world_changes)

    def _complete(self, given: PartialTraffic) -> Traffic:
        usual = self._recent_traffic() or self._usual()
        if usual is None and not given.is_whole:
            routes = ", ".join(self._routes.templates[:_MAX_LISTED])
            raise Invalid.field(
                "traffic",
                "there was no request in the last minute: send some, or give requests/s (rps) and shares that add up "
                f"to 1; the routes are {routes}",
            )
        return given.completed(usual)

    def _recent_traffic(self) -> Traffic | None:
        """Return the traffic of the last minute; None if there was none."""
        rates = {TrafficRoute(*route): rate for route, rate in self._meters.requests.rates().items()}
        if not rates:
            return None
        source = _MEASURED
        now = self._engine.clock()
        if self._engine.state.acted(now - SPAN_S, now):
            rates = without_failures(rates)
            source += ", without its failures: a fault acted"
        latencies = answer_times_by_route(self._meters.latencies.rates())
        return Traffic.from_rates(rates, source).model_copy(update={"latencies": latencies})

    def _usual(self) -> Traffic | None:
        """Return the shop's usual traffic where the service is the shop."""
        served = {(method, route.template) for route in self._routes.routes for method in route.methods}
        return Traffic.of_shop() if all((route.method, route.handler) in served for route in SHOP) else None


@dataclass(frozen=True)
class ForecastEndpoints:
    """The routes of forecasts and scores. Thread pools compute both, and parse large bodies.

    `catch_up` takes over the changes of other replicas.
    """

    catch_up: Callable[[], Awaitable[object]]
    forecaster: Forecaster
    policy: Policy
    engine: Engine
    inbox: Inbox
    pools: Pools
    fleet: Fleet

    def router(self) -> APIRouter:
        """Return the routes below /admin."""
        api = APIRouter(
            prefix="/admin", tags=["forecast"], route_class=route_class(json_limits.FAULT, self.pools.bodies)
        )
        forecast_refusals = refusals(Invalid, Busy, NotInstalled)
        score_refusals = refusals(NotFound, Conflict, Invalid, Busy, NotInstalled)
        api.post("/forecast", response_model=ForecastResponse, responses=forecast_refusals)(self.forecast)
        api.get("/faults/{name}/score", response_model=Score, responses=score_refusals)(self.score)
        return api

    async def forecast(self, request: Request, question: ForecastRequest) -> Response:
        """Forecast which alerts a fault would fire, when, and what it would cost. Nothing is injected."""
        await self.catch_up()
        await self.fleet.refresh()

        def work() -> Response:
            fault = self.policy.check(self.forecaster.resolve(question, question.name))
            return json_response(self.forecaster.forecast(fault, question.traffic, question.monitoring))

        return await cancel_on_disconnect(request, self.pools.forecasts.run(work))

    async def score(self, request: Request, name: FaultName) -> Response:
        """Compare a fault's forecast with the delivered alerts; `chaosapi score` also queries Prometheus."""
        await self.catch_up()
        record = self.engine.state.find(name)
        now = self.engine.clock()
        if record.starts_at > now:
            raise Conflict(f"the fault {name!r} has not started: there is nothing to score")
        await self.inbox.catch_up()
        await self.fleet.refresh()
        delivered = self.inbox.latest(MAX_ALERTS)
        faults = self.engine.state.faults

        def work() -> Response:
            return json_response(self.forecaster.score(record, faults, delivered, now))

        return await cancel_on_disconnect(request, self.pools.forecasts.run(work))
