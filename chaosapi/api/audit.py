"""Where every change is signed: who, what, when and why, before it goes to the store."""

import asyncio
import re
from contextlib import suppress
from typing import Annotated, Any, Final, NamedTuple

from fastapi import Path, Query, Request
from pydantic import AfterValidator, BeforeValidator, TypeAdapter, ValidationError

from chaosapi.durations import Duration
from chaosapi.errors import Invalid, StoreUnavailable
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import NAME
from chaosapi.faults.state import Action, AuditEntry, State
from chaosapi.models import Line
from chaosapi.runtime.kill_switch import KillSwitch
from chaosapi.store import Store, codec
from chaosapi.text import strip_control

_OURS: Final = {"guard", "killswitch", "store"}
"""Actors that are no callers: parts of the service sign what they do by themselves so."""
_LONGEST: Final = 200
_REASON: Final = 500
_ASKED: Final = 0.15
"""Seconds that the store has to say whether it knows a fault."""

FaultName = Annotated[str, Path(pattern=NAME, description="The fault's name.")]
Why = Annotated[Line, Query(max_length=_REASON, description="Why; for the audit.")]


def _fitted(reason: str) -> str:
    """Return a reason as one line of at most 500 characters: nothing said beside it keeps a stop from working."""
    return strip_control(" ".join(reason.split()))[:_REASON]


FittedReason = Annotated[str, AfterValidator(_fitted)]
WhyStopped = Annotated[
    FittedReason, Query(description=f"Why; for the audit, which keeps one line of {_REASON} characters.")
]


def _number(value: Any) -> Any:
    """Read the number that a query can only write as text."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) else value


_LONGEST_WAIT: Final = 30.0
_WAIT: Final = Query(
    le=_LONGEST_WAIT, description="Answer when every replica has applied it, or so much later; at most 30s."
)
_DURATION: Final = TypeAdapter[float](Duration)
Wait = Annotated[Duration, BeforeValidator(_number), _WAIT]


def _bounded(value: Any) -> Any:
    """Return a wait that can be read and is allowed: nothing said beside it keeps a stop from working."""
    try:
        wait = _DURATION.validate_python(_number(value))
    except ValidationError:
        return 0.0
    return min(wait, _LONGEST_WAIT)


WaitStopped = Annotated[Duration, BeforeValidator(_bounded), _WAIT]


def actor_of(request: Request, *, trusted: bool) -> str:
    """Return who makes a request: the name in X-Chaos-Actor, else the peer's address, which is known.

    A name is what the caller says of itself. It is marked as unverified unless callers are `trusted`, which they are
    where they had to send the token; a name of our own parts always is.
    """
    sent = request.headers.get("x-chaos-actor", "").encode("latin-1")
    name = strip_control(sent.decode(errors="replace")).strip()[:_LONGEST]
    if not name:
        return request.client.host if request.client else "unknown"
    return name if trusted and name.lower() not in _OURS else f"{name} (unverified)"


class Applied(NamedTuple):
    """The state that a change was applied to, and the state that it led to; equal where nothing changed."""

    before: State
    after: State


class AuditedChanges:
    """Hands changes to the store under the caller's name; `trusted` tells whether callers had to send the token."""

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
        readable = _readable(change)
        latest = State()

        def remember_before(before: State) -> State:
            nonlocal latest
            latest = before  # a store that was outrun calls again with a newer state: the last call counts
            return readable(before)

        after = await self._store.apply(remember_before, entry)
        return Applied(latest, after)

    def sign(
        self, request: Request, action: Action, *, now: float, fault: str | None = None, reason: str = ""
    ) -> AuditEntry:
        """Return the audit entry of what the caller asks for."""
        actor = actor_of(request, trusted=self._trusted)
        return AuditEntry(at=now, actor=actor, action=action, fault=fault, reason=reason)

    async def find_fault(self, known: State, name: str) -> State:
        """Return the state to show a fault from: where nobody here knows the name, the store is asked once.

        What another worker has just acknowledged may not have been heard here yet.
        """
        if not any(record.name == name for record in known.faults):
            with suppress(StoreUnavailable, TimeoutError):
                async with asyncio.timeout(_ASKED):
                    return await self._store.refresh()
        return known

    async def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """Return the latest entries, newest first; of the revisions before one, where that is given."""
        return await self._store.audit(limit, before)


def _readable(change: Change) -> Change:
    """Return the change, refused where a store could not give back a fault that it would write."""

    def checked(before: State) -> State:
        after = change(before)
        kept = {id(record.spec) for record in before.faults}
        for record in after.faults:
            if id(record.spec) not in kept and not codec.round_trips(record):
                raise Invalid.field("body", "this fault cannot be stored: it would not be read back as it is")
        return after

    return checked
