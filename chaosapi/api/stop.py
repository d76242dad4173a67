"""The ways to stop, and the record of what was done: kill switch, halt, audit."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import Field
from starlette.requests import ClientDisconnect

from chaosapi import budget
from chaosapi.api import pages, responses
from chaosapi.api.audit import AuditedChanges, FittedReason, Wait, WaitStopped, Why, WhyStopped
from chaosapi.api.bodies import understood
from chaosapi.api.descriptions import refusals
from chaosapi.errors import Busy, StoreUnavailable
from chaosapi.faults import changes
from chaosapi.faults.receipt import Replicas
from chaosapi.faults.state import AuditEntry, State
from chaosapi.models import MAX_REVISION, Model
from chaosapi.runtime.fleet import Fleet
from chaosapi.runtime.kill_switch import KillSwitch, StopResult
from chaosapi.runtime.pool import BoundedLock, Pool

_COUNTED: Final = 0.05
"""Seconds that the store has to say how far the replicas are, beyond what the caller waits for them."""
_HEARD: Final = 0.1
"""Seconds that the body of a halt has to arrive in: other replicas stop only then."""
_PART: Final = 10
_MOST: Final = 1000
"""Entries of the audit that are read and written at once, at first and at most."""


class HaltBody(Model):
    """Why chaos is halted."""

    reason: Annotated[FittedReason, Field(description="Why; shown to whoever is refused.")] = ""

    @classmethod
    def lenient(cls, said: Any) -> "HaltBody":
        """Return what can be understood of anything: nothing said beside it keeps a stop from working."""
        reason = said.get("reason") if isinstance(said, dict) else None
        return cls(reason=reason) if isinstance(reason, str) else cls()


_SAID: Final = {"anyOf": [HaltBody.model_json_schema(), {"type": "null"}]}
_HALT: Final = {"requestBody": {"content": {"application/json": {"schema": _SAID}}}}
"""Describes the body of the halt, which the route reads by itself: it takes any."""


@dataclass(frozen=True)
class StopEndpoints:
    """The kill switch, the halt and the audit. `clock` gives Unix seconds; lists are written in the pool."""

    audited: AuditedChanges
    kill: KillSwitch
    fleet: Fleet
    clock: Callable[[], float]
    lists: Pool
    _audit_lock: BoundedLock = field(default_factory=lambda: BoundedLock("readers of the audit", waiting=32))

    def router(self) -> APIRouter:
        """Return the routes below /admin; the kill switch and the halt also work with a slash at the end."""
        api = APIRouter(prefix="/admin", tags=["safety"])
        api.delete("/faults/", include_in_schema=False)(self.end_all_faults)
        api.delete("/faults")(self.end_all_faults)
        api.post("/halt/", include_in_schema=False)(self.halt)
        api.post("/halt", openapi_extra=_HALT)(self.halt)
        api.delete("/halt", responses=refusals(StoreUnavailable))(self.resume)
        listed = refusals(StoreUnavailable, Busy)
        api.get("/audit", response_model=responses.AuditList, responses=listed)(self.audit)
        return api

    async def end_all_faults(
        self, request: Request, reason: WhyStopped = "", wait: WaitStopped = 0.0
    ) -> responses.Ended:
        """End every fault now: the kill switch. It works without the store too; `stored` says whether that knows."""
        begun = time.monotonic()
        done = await self.kill.end_all(self.audited.sign(request, "end_all", now=self.clock(), reason=reason))
        replicas = await self._count_stopped(done, wait, begun)
        return responses.Ended(ended=done.ended, revision=done.state.revision, stored=done.stored, replicas=replicas)

    async def halt(self, request: Request, wait: WaitStopped = 0.0) -> responses.HaltAnswer:
        """End every fault and refuse new ones until the halt is lifted. It works without the store too.

        Faults end before the body is read; a reason that has not come 0.1 s later is left out.
        """
        begun = time.monotonic()
        now = self.clock()
        self.kill.end_here(now, halted=True)
        done = await self.kill.halt(self.audited.sign(request, "halt", now=now, reason=await _reason(request)))
        return _answer(done.state, await self._count_stopped(done, wait, begun), stored=done.stored)

    async def resume(self, request: Request, reason: Why = "", wait: Wait = 0.0) -> responses.HaltAnswer:
        """Lift the halt; what it ended stays ended."""
        applied = await self.audited.apply(request, changes.resume(), "resume", now=self.clock(), reason=reason)
        return _answer(applied.after, await self._count_applied(applied.after.revision, wait))

    async def audit(
        self,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
        before: Annotated[int | None, Query(ge=0, le=MAX_REVISION, description="Only of earlier revisions.")] = None,
    ) -> Response:
        """List who did what, when and why, newest first.

        A page ends at a megabyte; `next` is where the list goes on.
        """
        async with self._audit_lock.acquired():  # the threads in which stores read entries would delay all else
            page = pages.Page(limit)
            last = before
            part = _PART
            while not page.full and (found := await self.audited.audit(min(limit, part), last)):
                part = min(2 * part, _MOST)  # small ones, since they left room
                written = len(page.texts)
                await self.lists.run(partial(page.fill, found, _entry))
                last = found[len(page.texts) - written - 1].revision
            more = page.full and await self.audited.audit(1, last)
        onwards = pages.next_page(limit=limit, before=last) if more else None
        return pages.list_response(responses.AuditList(entries=[], next=onwards), "entries", page.texts)

    async def _count_applied(self, revision: int, wait: float, spent: float = 0.0) -> Replicas:
        try:
            async with asyncio.timeout(wait + max(_COUNTED - spent, 0.0)):
                return await self.fleet.count_applied(revision, wait)
        except TimeoutError:
            return self.fleet.count_self_applied()

    async def _count_stopped(self, done: StopResult, wait: float, begun: float) -> Replicas:
        """Count the replicas that have stopped, in the time that storing the stop has left."""
        if not done.stored:
            return self.fleet.count_self_applied()
        return await self._count_applied(done.state.revision, wait, time.monotonic() - begun)


async def _reason(request: Request) -> str:
    """Return why chaos is halted; nothing where the body does not say it, is late, or ends with its client."""
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_HEARD):
            return HaltBody.lenient(await understood(request, budget.SMALL)).reason
    return ""


def _answer(state: State, replicas: Replicas, *, stored: bool = True) -> responses.HaltAnswer:
    halt = responses.HaltView.of(state.halt)
    return responses.HaltAnswer(halt=halt, revision=state.revision, stored=stored, replicas=replicas)


def _entry(entry: AuditEntry) -> str:
    return responses.AuditView.of(entry).model_dump_json()
