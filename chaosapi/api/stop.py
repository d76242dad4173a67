"""The kill switch and the halt."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated, Any, Final

from fastapi import APIRouter, Request
from pydantic import Field
from starlette.requests import ClientDisconnect

from chaosapi import json_limits
from chaosapi.api import responses
from chaosapi.api.audit import AuditedChanges, FittedReason, Wait, WaitStopped, Why, WhyStopped
from chaosapi.api.bodies import read_leniently
from chaosapi.api.descriptions import refusals
from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.faults.receipt import Replicas
from chaosapi.faults.state import State
from chaosapi.models import Model
from chaosapi.runtime.fleet import Fleet
from chaosapi.runtime.kill_switch import KillSwitch, StopResult

_COUNT_TIMEOUT_S: Final = 0.05
"""Time-out of the store's count of replicas, added to the `wait` of the caller."""
_STOP_WAIT_S: Final = 0.2
"""How long a stop waits, unless the caller says so, until all replicas have stopped: workers take up to 0.1 s."""
_BODY_TIMEOUT_S: Final = 0.1
"""Time-out of the body of a halt: other replicas stop only after the body."""


class HaltBody(Model):
    """Why chaos is halted."""

    reason: Annotated[FittedReason, Field(description="Reason, shown in the error that refuses a new fault.")] = ""

    @classmethod
    def lenient(cls, document: Any) -> "HaltBody":
        """Return the body, with an empty reason if it is malformed: a malformed body must not prevent a halt."""
        reason = document.get("reason") if isinstance(document, dict) else None
        return cls(reason=reason) if isinstance(reason, str) else cls()


_HALT_SCHEMA: Final = {"anyOf": [HaltBody.model_json_schema(), {"type": "null"}]}
_HALT_BODY: Final = {"requestBody": {"content": {"application/json": {"schema": _HALT_SCHEMA}}}}
"""The OpenAPI description of the halt's body: the route accepts any body and parses it without FastAPI."""


@dataclass(frozen=True)
class StopEndpoints:
    """The routes of the kill switch and the halt. `clock` returns Unix seconds."""

    audited: AuditedChanges
    kill: KillSwitch
    fleet: Fleet
    clock: Callable[[], float]

    def router(self) -> APIRouter:
        """Return the routes below /admin; the kill switch and the halt also work with a slash at the end."""
        api = APIRouter(prefix="/admin", tags=["safety"])
        api.delete("/faults/", include_in_schema=False)(self.end_all_faults)
        api.delete("/faults")(self.end_all_faults)
        api.post("/halt/", include_in_schema=False)(self.halt)
        api.post("/halt", openapi_extra=_HALT_BODY)(self.halt)
        api.delete("/halt", responses=refusals(StoreUnavailable))(self.resume)
        return api

    async def end_all_faults(
        self, request: Request, reason: WhyStopped = "", wait: WaitStopped = _STOP_WAIT_S
    ) -> responses.Ended:
        """End every fault now: the kill switch. It works without the store; `stored` is false then."""
        started = time.monotonic()
        done = await self.kill.end_all(self.audited.sign(request, "end_all", now=self.clock(), reason=reason))
        replicas = await self._count_stopped(done, wait, started)
        return responses.Ended(ended=done.ended, revision=done.state.revision, stored=done.stored, replicas=replicas)

    async def halt(self, request: Request, wait: WaitStopped = _STOP_WAIT_S) -> responses.HaltAnswer:
        """End every fault and refuse new ones until the halt is lifted. It works without the store too.

        Faults end before the body is read; a reason that arrives more than 0.1 s later is ignored.
        """
        started = time.monotonic()
        now = self.clock()
        self.kill.end_here(now, halted=True)
        done = await self.kill.halt(self.audited.sign(request, "halt", now=now, reason=await _read_reason(request)))
        return _answer(done.state, await self._count_stopped(done, wait, started), stored=done.stored)

    async def resume(self, request: Request, reason: Why = "", wait: Wait = 0.0) -> responses.HaltAnswer:
        """Lift the halt. Faults that the halt ended stay ended."""
        applied = await self.audited.apply(request, changes.resume(), "resume", now=self.clock(), reason=reason)
        return _answer(applied.after, await self._count_applied(applied.after.revision, wait))

    async def _count_applied(self, revision: int, wait: float, spent_s: float = 0.0) -> Replicas:
        try:
            async with asyncio.timeout(wait + max(_COUNT_TIMEOUT_S - spent_s, 0.0)):
                return await self.fleet.count_applied(revision, wait)
        except TimeoutError:
            return self.fleet.count_self_applied()

    async def _count_stopped(self, done: StopResult, wait: float, started: float) -> Replicas:
        """Count the replicas that have stopped, in the time that storing the stop has left of the wait."""
        if not done.stored:
            return self.fleet.count_self_applied()
        spent = time.monotonic() - started
        return await self._count_applied(done.state.revision, max(wait - spent, 0.0), spent)


async def _read_reason(request: Request) -> str:
    """Return the reason in the body; empty if the body has none, is late, or the client disconnects."""
    with suppress(TimeoutError, ClientDisconnect):
        async with asyncio.timeout(_BODY_TIMEOUT_S):
            return HaltBody.lenient(await read_leniently(request, json_limits.SMALL)).reason
    return ""


def _answer(state: State, replicas: Replicas, *, stored: bool = True) -> responses.HaltAnswer:
    halt = responses.HaltView.of(state.halt)
    return responses.HaltAnswer(halt=halt, revision=state.revision, stored=stored, replicas=replicas)
