"""The admin API: faults as named resources, and the catalogue of effects."""

import secrets
import string
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request, Response

from chaosapi import durations, json_limits
from chaosapi.api import etag, pages, responses, validation
from chaosapi.api.audit import AuditedChanges, FaultName, Wait, Why
from chaosapi.api.bodies import route_class
from chaosapi.api.descriptions import Responses, header, refusals
from chaosapi.api.forecasts import Forecaster, ForecastResponse
from chaosapi.api.policy import Policy
from chaosapi.api.requests import BurnRate, FaultRequest
from chaosapi.errors import (
    Busy,
    Conflict,
    Invalid,
    LimitReached,
    NotFound,
    NotInstalled,
    PreconditionFailed,
    StoreUnavailable,
)
from chaosapi.faults import changes
from chaosapi.faults.fault import Fault, Phase, Record
from chaosapi.faults.receipt import Receipt
from chaosapi.faults.state import State
from chaosapi.injection.engine import Engine
from chaosapi.merge_patch import merge
from chaosapi.runtime.fleet import Fleet
from chaosapi.runtime.pool import Pools, cancel_on_disconnect
from chaosapi.telemetry.traffic import RateMeter

_ALPHABET = string.ascii_lowercase + string.digits

_MAX_LISTED: Final = 1000
_BATCH: Final = 10
"""Faults that one call of a thread serializes with their receipts."""

_CREATE_ERRORS = (Conflict, LimitReached, StoreUnavailable, Busy, NotInstalled)
"""Errors with which a new fault is refused."""
_ETAG: Final = header("ETag", required=True)

FaultBody = Annotated[
    FaultRequest,
    Body(
        openapi_examples={
            "smallest": {"summary": "503 on every shop request", "value": {"effect": {"type": "error"}}},
            "some checkouts": {
                "summary": "5 % of checkouts fail",
                "value": {
                    "name": "checkout-errors",
                    "effect": {"type": "error", "status": {"503": 0.8, "500": 0.2}},
                    "rate": 0.05,
                    "target": {"routes": ["/api/checkout"], "methods": ["POST"]},
                    "schedule": {"duration": "10m", "shape": {"type": "ramp", "up": "2m"}},
                    "reason": "game day",
                },
            },
            "slow tail": {
                "summary": "a long tail everywhere",
                "value": {
                    "effect": {
                        "type": "latency",
                        "distribution": {"type": "lognormal", "median": "120ms", "p99": "900ms"},
                    }
                },
            },
        }
    ),
]


class Created(responses.FaultView):
    """A fault that was just created."""

    forecast: ForecastResponse | None = None
    """Null unless `forecast=true`."""


@dataclass(frozen=True)
class FaultEndpoints:
    """The routes of faults. Thread pools compute forecasts, serialize lists and parse large bodies."""

    audited: AuditedChanges
    fleet: Fleet
    engine: Engine
    policy: Policy
    forecaster: Forecaster
    pools: Pools
    meter: RateMeter

    def router(self) -> APIRouter:
        """Return the routes below /admin."""
        api = APIRouter(prefix="/admin", tags=["faults"], route_class=route_class(json_limits.FAULT, self.pools.bodies))
        shown: Responses = {200: _ETAG}
        made: Responses = {201: header("Location", "ETag", required=True)}
        replaced: Responses = {**shown, 201: {"model": responses.FaultView, **_ETAG}}
        one = "/faults/{name}"
        api.post("/faults", status_code=201, responses=made | refusals(*_CREATE_ERRORS))(self.create_fault)
        api.get("/faults", response_model=responses.FaultList, responses=refusals(Busy, NotFound))(self.list_faults)
        api.get(one, responses=shown | refusals(NotFound))(self.show_fault)
        api.put(one, responses=replaced | refusals(*_CREATE_ERRORS, PreconditionFailed))(self.replace_fault)
        api.patch(one, responses=shown | refusals(NotFound, *_CREATE_ERRORS, PreconditionFailed))(self.patch_fault)
        api.delete(one, responses=shown | refusals(NotFound, Conflict, PreconditionFailed, StoreUnavailable))(
            self.end_fault
        )
        api.get("/effects")(self.effects)
        return api

    async def create_fault(
        self,
        request: Request,
        response: Response,
        fault: FaultBody,
        forecast: Annotated[bool, Query(description="Forecast which alerts the fault will fire, and when.")] = False,  # noqa: FBT002 - a query
        wait: Wait = 0.0,
    ) -> Created:
        """Inject a fault, which ends by itself. Only `effect` is required."""
        name = fault.name or _unused_name(fault, self.engine.state)
        spec = self.policy.check(await self._resolve(request, fault, name))
        if forecast:
            await self.fleet.refresh()
        outlook = (
            await cancel_on_disconnect(request, self.pools.forecasts.run(lambda: self.forecaster.forecast(spec)))
            if forecast
            else None
        )
        now = self.engine.clock()  # start the fault's clock after the forecast, which takes a while
        change = changes.create(spec, now, self.policy.admit)
        applied = await self.audited.apply(request, change, "create", now=now, fault=name, reason=spec.reason)
        response.headers["location"] = f"{request.scope.get('root_path', '').rstrip('/')}/admin/faults/{name}"
        return Created(**(await self._view(response, applied.after, name, wait)).fields(), forecast=outlook)

    async def list_faults(
        self,
        state: Annotated[Phase | None, Query(description="Return only faults in this state.")] = None,
        limit: Annotated[int, Query(ge=1, le=_MAX_LISTED)] = _MAX_LISTED,
        after: Annotated[FaultName | None, Query(description="Return only faults listed after this one.")] = None,
    ) -> Response:
        """List the faults, newest first: those that are live, and the last hundred that have ended.

        A page ends at a megabyte; `next` is the URL of the next page.
        """
        await self.audited.catch_up()
        known = self.engine.state
        time_of = self.engine.time_of
        first = known.faults.index(known.find(after)) + 1 if after else 0
        left = [record for record in known.faults[first:] if state in (None, record.phase(time_of(record)))]
        page = pages.Page(limit)
        for start in range(0, len(left), _BATCH):
            if page.full:
                break
            part = left[start : start + _BATCH]
            await self.pools.lists.run(
                partial(page.fill, part, partial(self._view_json, await self.fleet.receipt_writer(part)))
            )
        more = len(left) > len(page.texts)
        onwards = pages.next_page(state=state, limit=limit, after=left[len(page.texts) - 1].name) if more else None
        fields = responses.FaultList(
            revision=known.revision, halt=responses.HaltView.of(known.halt), faults=[], next=onwards
        )
        return await self.pools.lists.run(lambda: pages.list_response(fields, "faults", page.texts))

    async def show_fault(self, response: Response, name: FaultName) -> responses.FaultView:
        """Show one fault with its receipt."""
        await self.audited.catch_up()
        return await self._view(response, self.engine.state, name)

    async def replace_fault(
        self,
        request: Request,
        response: Response,
        name: FaultName,
        fault: FaultBody,
        if_match: etag.IfMatch = None,
        wait: Wait = 0.0,
    ) -> responses.FaultView:
        """Create the fault, or replace it and restart its clock. Sending the same body again is a no-op."""
        if fault.name not in (None, name):
            raise Invalid.field("name", f"must be {name!r} as in the path, or left out")
        spec = self.policy.check(await self._resolve(request, fault, name))
        now = self.engine.clock()
        change = etag.guarded(changes.replace(spec, now, self.policy.admit), name, if_match)
        applied = await self.audited.apply(request, change, "replace", now=now, fault=name, reason=spec.reason)
        was_live = any(record.name == name for record in applied.before.live(now))
        response.status_code = 200 if was_live else 201
        return await self._view(response, applied.after, name, wait)

    async def patch_fault(
        self,
        request: Request,
        response: Response,
        name: FaultName,
        document: Annotated[dict[str, Any], Body(media_type="application/merge-patch+json", examples=[{"rate": 0.1}])],
        if_match: etag.IfMatch = None,
        wait: Wait = 0.0,
    ) -> responses.FaultView:
        """Change a live fault by JSON merge patch (RFC 7396), atomically. Its clock and receipt continue."""
        now = self.engine.clock()
        if isinstance(document.get("rate"), dict):
            await self.audited.catch_up()
            spec = self.engine.state.find(name).spec.model_dump(mode="json", context=durations.EXACT)
            merged = await self._resolve(request, validation.read(FaultRequest, merge(spec, document)), name)
            document = {**document, "rate": merged.rate, "rate_sum": merged.rate_sum}
        elif "rate" in document:
            document = {"rate_sum": "", **document}
        change = etag.guarded(changes.patch(name, document, self._read_fault, now, self.policy.admit), name, if_match)
        applied = await self.audited.apply(
            request, change, "patch", now=now, fault=name, reason=str(document.get("reason") or "")
        )
        return await self._view(response, applied.after, name, wait)

    async def end_fault(
        self,
        request: Request,
        response: Response,
        name: FaultName,
        reason: Why = "",
        if_match: etag.IfMatch = None,
        wait: Wait = 0.0,
    ) -> responses.FaultView:
        """End a fault now and release the requests that it holds; return its final receipt."""
        now = self.engine.clock()
        change = etag.guarded(changes.end(name, now), name, if_match)
        applied = await self.audited.apply(request, change, "end", now=now, fault=name, reason=reason)
        return await self._view(response, applied.after, name, wait)

    async def effects(self) -> responses.Catalogue:
        """Describe every effect: what it does, its parameters as JSON schema, an example."""
        return self._catalogue

    @cached_property
    def _catalogue(self) -> responses.Catalogue:
        return responses.catalogue(self.policy.denial)

    async def _view(self, response: Response, state: State, name: str, wait: float = 0.0) -> responses.FaultView:
        record = state.find(name)
        if wait:
            await self.fleet.count_applied(state.revision, wait)
        (receipt,) = await self.fleet.receipts([record])
        response.headers["etag"] = etag.of(record)
        return self._view_of(record, receipt)

    def _view_of(self, record: Record, receipt: Receipt) -> responses.FaultView:
        engine = self.engine
        surroundings = responses.Surroundings(engine.state.world, self.fleet.names(), self.meter.requests_per_second)
        return responses.FaultView.of(record, receipt, engine.time_of(record), engine.strength_of(record), surroundings)

    def _view_json(self, receipt_of: Callable[[Record], Receipt], record: Record) -> str:
        return self._view_of(record, receipt_of(record)).model_dump_json()

    async def _resolve(self, request: Request, draft: FaultRequest, name: str) -> Fault:
        """Return the fault called `name`, its rate as a ratio; raises Invalid if no rate reaches the burn rate."""
        if isinstance(draft.rate, BurnRate):
            work = self.pools.forecasts.run(lambda: self.forecaster.resolve(draft, name))
            return await cancel_on_disconnect(request, work)
        return self.forecaster.resolve(draft, name)

    def _read_fault(self, document: Any) -> Fault:
        return self.policy.check(validation.read(Fault, document))


def _unused_name(fault: FaultRequest, state: State) -> str:
    """Return a name such as `error-k3x9` that no known fault has."""
    taken = {record.name for record in state.faults}
    while True:
        name = f"{fault.effect.type}-{''.join(secrets.choice(_ALPHABET) for _ in range(4))}".replace("_", "-")
        if name not in taken:
            return name
