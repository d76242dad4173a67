"""The ways to stop, and the record of what was done: kill switch, halt, audit."""

from collections.abc import Callable
from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import Field

from chaosapi import state as changes
from chaosapi.api import views
from chaosapi.api.desk import Desk, Why
from chaosapi.fault import Reason, Record
from chaosapi.models import Model
from chaosapi.state import State


class HaltBody(Model):
    """Why chaos is halted."""

    reason: Annotated[Reason, Field(description="Why; shown to whoever is refused.")] = ""


def router(desk: Desk, clock: Callable[[], float]) -> APIRouter:
    """Make the routes; `clock` gives Unix seconds."""
    api = APIRouter(prefix="/admin", tags=["safety"])

    @api.delete("/faults")
    async def end_all_faults(request: Request, reason: Why = "") -> views.Ended:
        """End every fault now: the kill switch."""
        now = clock()
        live: list[Record] = []

        def end_all(state: State) -> State:
            live[:] = state.live(now)
            return changes.end_all(now)(state)

        state = await desk.apply(request, end_all, "end_all", now=now, reason=reason)
        return views.Ended(ended=len(live), revision=state.revision)

    @api.post("/halt")
    async def halt(request: Request, body: HaltBody | None = None) -> views.HaltAnswer:
        """End every fault and refuse new ones until the halt is lifted."""
        now, reason = clock(), body.reason if body else ""
        state = await desk.apply(request, changes.halt(reason, now), "halt", now=now, reason=reason)
        return views.HaltAnswer(halt=views.HaltView.of(state.halt), revision=state.revision)

    @api.delete("/halt")
    async def resume(request: Request, reason: Why = "") -> views.HaltAnswer:
        """Lift the halt; what it ended stays ended."""
        state = await desk.apply(request, changes.resume(), "resume", now=clock(), reason=reason)
        return views.HaltAnswer(halt=None, revision=state.revision)

    @api.get("/audit")
    async def audit(limit: Annotated[int, Query(ge=1, le=10_000)] = 100) -> views.AuditList:
        """List who did what, when and why, newest first."""
        return views.AuditList(entries=[views.AuditView.of(entry) for entry in await desk.audit(limit)])

    return api
