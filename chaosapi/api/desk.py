"""Where every change is signed: who, what, when and why, before it goes to the store."""

from typing import Annotated, Any

from fastapi import Query, Request

from chaosapi.api.views import Action
from chaosapi.state import AuditEntry, Change, State
from chaosapi.store import Store

Why = Annotated[str, Query(max_length=500, description="Why; for the audit.")]


class Desk:
    """Hands changes to the store under the caller's name."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def apply(self, request: Request, change: Change, action: Action, *, now: float, **entry: Any) -> State:
        """Make a change at time `now`; `entry` completes its line in the audit (fault, reason, spec)."""
        actor = request.headers.get("x-chaos-actor") or (request.client.host if request.client else "unknown")
        return await self._store.apply(
            change, AuditEntry(revision=0, at=now, actor=actor[:200], action=action, **entry)
        )

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the latest entries, newest first."""
        return await self._store.audit(limit)
