"""The ways to stop, and the record of what was done: kill switch, halt, audit."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from chaosapi import budget
from chaosapi import state as changes
from chaosapi.api import views
from chaosapi.api.bodies import reading
from chaosapi.api.description import refusals
from chaosapi.api.desk import Desk, Wait, Why
from chaosapi.errors import StoreUnavailable
from chaosapi.fault import Reason, Record
from chaosapi.models import Model
from chaosapi.state import State
from chaosapi.store.fleet import Fleet


class HaltBody(Model):
    """Why chaos is halted."""

    reason: Annotated[Reason, Field(description="Why; shown to whoever is refused.")] = ""


def router(desk: Desk, fleet: Fleet, clock: Callable[[], float]) -> APIRouter:
    """Make the routes; `clock` gives Unix seconds."""
    api = APIRouter(
        prefix="/admin",
        tags=["safety"],
        responses=refusals(StoreUnavailable),
        route_class=reading(budget.SMALL),
    )

    async def answer(state: State, wait: float) -> views.HaltAnswer:
        replicas = await fleet.reached(state.revision, wait)
        return views.HaltAnswer(halt=views.HaltView.of(state.halt), revision=state.revision, replicas=replicas)

    @api.delete("/faults")
    async def end_all_faults(request: Request, reason: Why = "", wait: Wait = 0.0) -> views.Ended:
        """End every fault now: the kill switch."""
        now = clock()
        live: list[Record] = []

        def end_all(state: State) -> State:
            live[:] = state.live(now)
            return changes.end_all(now)(state)

        state = await desk.apply(request, end_all, "end_all", now=now, reason=reason)
        replicas = await fleet.reached(state.revision, wait)
        return views.Ended(ended=len(live), revision=state.revision, replicas=replicas)

    @api.post("/halt")
    async def halt(request: Request, body: HaltBody | None = None, wait: Wait = 0.0) -> views.HaltAnswer:
        """End every fault and refuse new ones until the halt is lifted."""
        now, reason = clock(), body.reason if body else ""
        state = await desk.apply(request, changes.halt(reason, now), "halt", now=now, reason=reason)
        return await answer(state, wait)

    @api.delete("/halt")
    async def resume(request: Request, reason: Why = "", wait: Wait = 0.0) -> views.HaltAnswer:
        """Lift the halt; what it ended stays ended."""
        state = await desk.apply(request, changes.resume(), "resume", now=clock(), reason=reason)
        return await answer(state, wait)

    @api.get("/audit")
    async def audit(limit: Annotated[int, Query(ge=1, le=10_000)] = 100) -> views.AuditList:
        """List who did what, when and why, newest first."""
        return views.AuditList(entries=[views.AuditView.of(entry) for entry in await desk.audit(limit)])

    return api
