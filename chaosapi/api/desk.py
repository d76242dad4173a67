"""Where every change is signed: who, what, when and why, before it goes to the store."""

import re
from typing import Annotated, Any, Final

from fastapi import Path, Query, Request
from pydantic import BeforeValidator

from chaosapi.api.views import Action
from chaosapi.durations import Duration
from chaosapi.errors import Invalid
from chaosapi.fault import NAME
from chaosapi.models import Line
from chaosapi.state import AuditEntry, Change, State
from chaosapi.store import Store, codec
from chaosapi.text import stripped

_OURS: Final = {"guard", "store"}
"""Actors that are no callers: parts of the service sign what they do by themselves so."""
_LONGEST: Final = 200
FaultName = Annotated[str, Path(pattern=NAME, description="The fault's name.")]
Why = Annotated[Line, Query(max_length=500, description="Why; for the audit.")]


def _number(value: Any) -> Any:
    """Read the number that a query can only write as text."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) else value


Wait = Annotated[
    Duration,
    BeforeValidator(_number),
    Query(le=30, description="Answer when every replica has applied it, or so much later; at most 30s."),
]


def actor_of(request: Request, *, trusted: bool) -> str:
    """Return who makes a request: the name in X-Chaos-Actor, else the peer's address, which is known.

    A name is what the caller says of itself. It is marked as unverified unless callers are `trusted`, which they are
    where they had to send the token; a name of our own parts always is.
    """
    sent = request.headers.get("x-chaos-actor", "").encode("latin-1")
    name = stripped(sent.decode(errors="replace")).strip()[:_LONGEST]
    if not name:
        return request.client.host if request.client else "unknown"
    return name if trusted and name.lower() not in _OURS else f"{name} (unverified)"


class Desk:
    """Hands changes to the store under the caller's name; `trusted` tells whether callers had to send the token."""

    def __init__(self, store: Store, *, trusted: bool) -> None:
        self._store = store
        self._trusted = trusted

    async def apply(  # noqa: PLR0913 - who, what, when and why
        self,
        request: Request,
        change: Change,
        action: Action,
        *,
        now: float,
        fault: str | None = None,
        reason: str = "",
    ) -> State:
        """Make a change at time `now`; `fault` names the one it is about, if any."""
        actor = actor_of(request, trusted=self._trusted)
        entry = AuditEntry(at=now, actor=actor, action=action, fault=fault, reason=reason)
        return await self._store.apply(_readable(change), entry)

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the latest entries, newest first."""
        return await self._store.audit(limit)


def _readable(change: Change) -> Change:
    """Return the change, refused where a store could not give back a fault that it would write."""

    def checked(before: State) -> State:
        after = change(before)
        kept = {id(record.spec) for record in before.faults}
        for record in after.faults:
            if id(record.spec) not in kept and not codec.survives(record):
                raise Invalid.field("body", "this fault cannot be stored: it would not be read back as it is")
        return after

    return checked
