"""The audit: sign every change with who, what, when and why, pass it to the store, and list the changes."""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from chaosapi import scope as keys
from chaosapi.api import pages, responses
from chaosapi.api.descriptions import refusals
from chaosapi.durations import Duration
from chaosapi.errors import Busy, Invalid, LimitReached, StoreUnavailable
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import NAME
from chaosapi.faults.state import Action, Applied, AuditEntry, State
from chaosapi.models import MAX_REVISION, Line
from chaosapi.runtime.kill_switch import KillSwitch
from chaosapi.runtime.pool import BoundedLock, Pool
from chaosapi.store import Store, codec
from chaosapi.store.audit_trail import log_change
from chaosapi.text import strip_control

_RESERVED_ACTORS: Final = {"guard", "killswitch", "store"}
"""Reserved actors: parts of the service sign their own changes with these names."""
_MAX_ACTOR: Final = 200
_MAX_REASON: Final = 500
_FIRST_BATCH: Final = 10
_MAX_BATCH: Final = 1000
"""Entries per read: the batch doubles from the first size to the maximum."""
_CATCH_UP_TIMEOUT_S: Final = 0.15
"""Beyond it, an answer is that of the last snapshot."""

FaultName = Annotated[str, Path(pattern=NAME, description="The fault's name.")]
Why = Annotated[Line, Query(max_length=_MAX_REASON, description="Reason, for the audit.")]


def _fit_reason(reason: str) -> str:
    """Return a reason as one line of at most 500 characters: a malformed reason must not prevent a stop."""
    return strip_control(" ".join(reason.split()))[:_MAX_REASON]


FittedReason = Annotated[str, AfterValidator(_fit_reason)]
WhyStopped = Annotated[
    FittedReason, Query(description=f"Reason, for the audit, which keeps one line of {_MAX_REASON} characters.")
]


def _number(value: Any) -> Any:
    """Return a query's text as a number where it is one."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) else value


_MAX_WAIT_S: Final = 30.0
_WAIT: Final = Query(
    le=_MAX_WAIT_S, description="Wait until every replica has applied the change, at most this long; maximum 30s."
)
_DURATION: Final = TypeAdapter[float](Duration)
Wait = Annotated[Duration, BeforeValidator(_number), _WAIT]


def _bound_wait(value: Any) -> Any:
    """Return a valid wait, 0 for a malformed one: a malformed wait must not prevent a stop."""
    try:
        wait = _DURATION.validate_python(_number(value))
    except ValidationError:
        return 0.0
    return min(wait, _MAX_WAIT_S)


WaitStopped = Annotated[Duration, BeforeValidator(_bound_wait), _WAIT]


def actor_of(request: Request, *, trusted: bool) -> str:
    """Return the actor of a request: the name in X-Chaos-Actor, else the peer's address.

    Callers choose the name. It is marked as unverified unless callers are `trusted` because they sent the token; a
    reserved name is always marked. The label of an issued token is always shown.
    """
    grant = request.scope.get(keys.GRANT)
    if grant and grant.label:
        return f"{_named_actor(request, trusted=trusted)} ({grant.label})"
    return _named_actor(request, trusted=trusted)


def _named_actor(request: Request, *, trusted: bool) -> str:
    sent = request.headers.get("x-chaos-actor", "").encode("latin-1")
    name = strip_control(sent.decode(errors="replace")).strip()[:_MAX_ACTOR]
    if not name:
        return request.client.host if request.client else "unknown"
    return name if trusted and name.lower() not in _RESERVED_ACTORS else f"{name} (unverified)"


class AuditedChanges:
    """Applies changes to the store under the caller's name; `trusted` if callers must send the token."""

    def __init__(self, store: Store, kill: KillSwitch, *, trusted: bool) -> None:
        self._store = store
        self._kill = kill
        self._trusted = trusted

    async def apply(
        self,
        request: Request,
        change: Change,
        action: Action,
        *,
        now: float,
        fault: str | None = None,
        reason: str = "",
    ) -> Applied:
        """Make a change at time `now`; `fault` names the fault that the change is about, if any."""
        await self._kill.wait_until_stored()
        entry = self.sign(request, action, now=now, fault=fault, reason=reason)
        applied = await self._store.apply(_readable(change), entry)
        log_change(entry, applied)
        return applied

    def sign(
        self, request: Request, action: Action, *, now: float, fault: str | None = None, reason: str = ""
    ) -> AuditEntry:
        """Return the audit entry of the caller's request."""
        return AuditEntry(at=now, actor=self.actor(request), action=action, fault=fault, reason=reason)

    def actor(self, request: Request) -> str:
        """Return the name under which the caller's changes are recorded."""
        return actor_of(request, trusted=self._trusted)

    async def catch_up(self) -> None:
        """Take over the changes that other workers and replicas have acknowledged, if the store answers in time."""
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_CATCH_UP_TIMEOUT_S):
                await self._store.refresh()

    async def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """Return the latest entries, newest first; with `before`, only those of lower revisions."""
        return await self._store.audit(limit, before)


@dataclass(frozen=True)
class AuditEndpoints:
    """The route of the audit; the pool serializes its pages."""

    audited: AuditedChanges
    lists: Pool
    _lock: BoundedLock = field(default_factory=lambda: BoundedLock("readers of the audit", waiting=32))

    def router(self) -> APIRouter:
        """Return the route below /admin."""
        api = APIRouter(prefix="/admin", tags=["safety"])
        listed = refusals(StoreUnavailable, Busy)
        api.get("/audit", response_model=responses.AuditList, responses=listed)(self.audit)
        return api

    async def audit(
        self,
        limit: Annotated[int, Query(ge=1, le=10_000)] = 100,
        before: Annotated[
            int | None, Query(ge=0, le=MAX_REVISION, description="Return only entries of earlier revisions.")
        ] = None,
    ) -> Response:
        """List who did what, when and why, newest first.

        A page ends at a megabyte; `next` is the URL of the next page.
        """
        async with self._lock.acquired():  # many threads that parse entries would delay the event loop
            page = pages.Page(limit)
            last = before
            batch = _FIRST_BATCH
            while not page.full and (found := await self.audited.audit(min(limit, batch), last)):
                batch = min(2 * batch, _MAX_BATCH)  # the entries were small: the page has room
                written = len(page.texts)
                await self.lists.run(partial(page.fill, found, _entry_json))
                last = found[len(page.texts) - written - 1].revision
            more = page.full and await self.audited.audit(1, last)
        onwards = pages.next_page(limit=limit, before=last) if more else None
        return pages.list_response(responses.AuditList(entries=[], next=onwards), "entries", page.texts)


def _readable(change: Change) -> Change:
    """Return the change, which raises Invalid if a new fault does not survive a round trip through the store."""

    def checked(before: State) -> State:
        after = change(before)
        kept = {id(record.spec) for record in before.faults}
        new = [record for record in after.faults if id(record.spec) not in kept]
        if not all(map(codec.round_trips, new)):
            raise Invalid.field("body", "this fault cannot be stored: it would not be read back as it is")
        grown = new or after.world_revision != before.world_revision
        if grown and not codec.has_room(after):
            raise LimitReached(f"faults and world together have {codec.MAX_STATE:,} characters as JSON, the most")
        return after

    return checked


def _entry_json(entry: AuditEntry) -> str:
    return responses.AuditView.of(entry).model_dump_json()
