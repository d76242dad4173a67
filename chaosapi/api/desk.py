"""Where every change is signed: who, what, when and why, before it goes to the store."""

import re
from typing import Annotated, Any

from fastapi import Path, Query, Request
from pydantic import BeforeValidator

from chaosapi.api.views import Action
from chaosapi.durations import Duration
from chaosapi.fault import NAME
from chaosapi.state import AuditEntry, Change, State
from chaosapi.store import Store

FaultName = Annotated[str, Path(pattern=NAME, description="The fault's name.")]
Why = Annotated[str, Query(max_length=500, description="Why; for the audit.")]


def _number(value: Any) -> Any:
    """Read the number that a query can only write as text."""
    return float(value) if isinstance(value, str) and re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value) else value


Wait = Annotated[
    Duration,
    BeforeValidator(_number),
    Query(le=30, description="Answer when every replica has applied it, or so much later; at most 30s."),
]


class Desk:
    """Hands changes to the store under the caller's name."""

    def __init__(self, store: Store) -> None:
        self._store = store

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
        actor = request.headers.get("x-chaos-actor") or (request.client.host if request.client else "unknown")
        entry = AuditEntry(at=now, actor=actor[:200], action=action, fault=fault, reason=reason)
        return await self._store.apply(change, entry)

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the latest entries, newest first."""
        return await self._store.audit(limit)
