"""Looks after the guards: ends a fault whose condition to stop has come true."""

import asyncio
from collections.abc import Callable

import structlog

from chaosapi import state as changes
from chaosapi.engine import Engine
from chaosapi.errors import StoreUnavailable
from chaosapi.fault import Record
from chaosapi.guard import AlertFiring
from chaosapi.inbox import Inbox
from chaosapi.indicators import Answers
from chaosapi.state import AuditEntry, Change, State
from chaosapi.store import Store

_BEAT = 1.0
"""Seconds between two looks."""

log = structlog.stdlib.get_logger("chaosapi.watch")


class Watch:
    """Knows what each fault has cost since it began to act, and which alerts are firing."""

    def __init__(self, store: Store, engine: Engine, inbox: Inbox, answers: Callable[[], Answers]) -> None:
        self._store, self._engine, self._inbox, self._answers = store, engine, inbox, answers
        self._began: dict[tuple[str, float], tuple[float, Answers]] = {}

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(_BEAT)

    async def look(self) -> None:
        """End every fault whose guard says so; call it also when an alert has arrived."""
        self.mark(unguarded=True)
        for run in self._engine.live():
            run.strength()  # bursts are drawn as time passes, not all by the request that comes after a quiet hour
        now = self._engine.clock()
        causes = [(record, self._cause(record, now)) for record in self._engine.state.live(now)]
        for record, cause in causes:
            if cause:
                entry = AuditEntry(at=now, actor="guard", action="end", fault=record.name, reason=f"guard: {cause}")
                try:
                    await self._store.apply(_end(record, now), entry)
                except StoreUnavailable as error:
                    log.warning("a guard cannot end its fault yet", fault=record.name, reason=str(error))
                except Exception:
                    log.exception("a guard could not end its fault, and tries again", fault=record.name)

    def mark(self, *, unguarded: bool = False) -> None:
        """Note what the counters say where a fault has begun to act; call it also on every change.

        Faults without a guard, which may get one later, can wait for the beat: to add up all workers takes a while.
        """
        now = self._engine.clock()
        plans = [run.plan for run in self._engine.live() if run.remaining() > 0]
        active = {plan.record.identity: plan.record.spec.guard for plan in plans if plan.starts_at <= now}
        fresh = {key for key, guard in active.items() if key not in self._began and (guard or unguarded)}
        began = (now, self._answers()) if fresh else None
        known = {key: self._began.get(key, began if key in fresh else None) for key in active}
        self._began = {key: since for key, since in known.items() if since}

    def _cause(self, record: Record, now: float) -> str | None:
        """Say why the fault must end, if it must; None while it has not begun to act."""
        began, guard = self._began.get(record.identity), record.spec.guard
        if guard is None or began is None:
            return None
        if isinstance(guard.stop_when, AlertFiring):
            found = (guard.stop_when.seen(alert.labels) for alert in self._inbox.firing())
            return next(filter(None, found), None)
        since, before = began
        after = self._answers()
        return guard.stop_when.seen(after.total - before.total, after.failed - before.failed, now - since)


def _end(record: Record, now: float) -> Change:
    """End this very fault: not a new one of its name, and not once its guard was changed."""

    def change(state: State) -> State:
        same = [
            each for each in state.live(now) if (each.identity, each.spec.guard) == (record.identity, record.spec.guard)
        ]
        return changes.end(record.name, now)(state) if same else state

    return change
