"""Evaluates guards: ends a fault whose stop condition is true."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Record
from chaosapi.faults.guard import AlertFiring, BudgetBurned
from chaosapi.faults.state import AuditEntry, State
from chaosapi.injection.engine import Engine
from chaosapi.logger import get_logger
from chaosapi.store import Store
from chaosapi.store.alerts import DeliveredAlert, Inbox
from chaosapi.store.audit_trail import log_change
from chaosapi.telemetry.requests import AnswerCounts

_INTERVAL_S = 1.0
_ALERTS_PER_SLICE = 500
"""How many alerts are compared before other tasks run."""

log = get_logger("chaosapi.runtime.guard_watcher")


class GuardWatcher:
    """Ends faults by the error budget that they have burned since they began, or by a firing alert.

    It also ends, on all replicas, faults whose duration is over by this replica's steady clock while the shared clock
    says otherwise. `drop_ended` makes the engine forget faults that have ended.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        inbox: Inbox,
        answers: Callable[[], AnswerCounts],
        drop_ended: Callable[[], None] = lambda: None,
    ) -> None:
        self._store = store
        self._engine = engine
        self._inbox = inbox
        self._answers = answers
        self._drop_ended = drop_ended
        self._evaluations = 0
        self._evaluating = asyncio.Lock()
        self._checked_deliveries: dict[tuple[str, float, int], int] = {}
        """By fault and revision: the last delivery of an alert for which its guard was evaluated."""
        self._starts: dict[tuple[str, float], tuple[float, AnswerCounts]] = {}
        """By fault: the steady time at which it began, and the counters then."""

    async def run(self) -> None:
        """Evaluate the guards every second, until cancelled."""
        while True:
            await self.evaluate()
            await asyncio.sleep(_INTERVAL_S)

    async def evaluate(self) -> None:
        """End every fault whose stop condition is true; call it also when an alert has arrived.

        All calls during one evaluation share the next one.
        """
        asked = self._evaluations + 1
        async with self._evaluating:
            if self._evaluations < asked:
                self._evaluations += 1
                await self._evaluate_guards()

    async def _evaluate_guards(self) -> None:
        self._drop_ended()
        for record, why in self._engine.ended_by_clock():
            await self._end_fault(record, "clock", why)
        self.snapshot_counters(unguarded=True)
        for fault in self._engine.live():
            fault.strength()  # draws bursts as time passes: else the first request after a quiet hour draws all of them
        await self._inbox.catch_up()
        version = self._inbox.deliveries
        live = [fault.compiled.record for fault in self._engine.live() if fault.remaining() > 0]
        guarded = [record for record in live if record.spec.guard]
        burned = await self._budget_causes(guarded)
        alerts = _FiringAlerts(self._inbox.firing())
        checked: dict[tuple[str, float, int], int] = {}
        for record in guarded:
            key = (*record.identity, record.revision)
            cause = burned.get(record.identity)
            stop_when = record.spec.guard and record.spec.guard.stop_when
            if isinstance(stop_when, AlertFiring) and record.identity in self._starts:
                # No alert that fired at the last evaluation matched: compare again only after a delivery.
                cause = None if self._checked_deliveries.get(key) == version else await alerts.find_cause(stop_when)
                checked[key] = version
            if cause and not await self._end_fault(record, "guard", cause):
                checked.pop(key, None)
        self._checked_deliveries = checked

    async def _budget_causes(self, guarded: Sequence[Record]) -> dict[tuple[str, float], str]:
        """Return, by fault, which budget it has burned; the slow sum over all workers is made once for all faults."""
        watched: list[tuple[tuple[str, float], BudgetBurned, tuple[float, AnswerCounts]]] = []
        for record in guarded:
            stop_when = record.spec.guard and record.spec.guard.stop_when
            start = self._starts.get(record.identity)
            if start and isinstance(stop_when, BudgetBurned):
                watched.append((record.identity, stop_when, start))
        if not watched:
            return {}
        after = await asyncio.to_thread(self._answers)
        now = self._engine.steady()
        causes = (
            (key, burned.cause(after.total - before.total, after.failed - before.failed, now - since))
            for key, burned, (since, before) in watched
        )
        return {key: cause for key, cause in causes if cause}

    async def _end_fault(self, record: Record, actor: str, cause: str) -> bool:
        now = self._engine.clock()
        entry = AuditEntry(at=now, actor=actor, action="end", fault=record.name, reason=f"{actor}: {cause}")
        try:
            log_change(entry, await self._store.apply(_end_if_unchanged(record, now), entry))
        except StoreUnavailable as error:
            log.warning("a fault cannot be ended yet", fault=record.name, by=actor, reason=str(error))
            return False
        except Exception:
            log.exception("a fault could not be ended; trying again", fault=record.name, by=actor)
            return False
        return True

    def snapshot_counters(self, *, unguarded: bool = False) -> None:
        """Save the counters at the start of each fault that has begun to act; call it also on every change.

        Faults without a guard, which may get one later, wait for the next evaluation: the sum over all workers is slow.
        """
        now = self._engine.steady()
        records = [fault.compiled.record for fault in self._engine.live() if fault.early() <= 0 < fault.remaining()]
        active = {record.identity: record.spec.guard for record in records}
        fresh = {key for key, guard in active.items() if key not in self._starts and (guard or unguarded)}
        began = (now, self._answers()) if fresh else None
        known = {key: self._starts.get(key, began if key in fresh else None) for key in active}
        self._starts = {key: since for key, since in known.items() if since}


class _FiringAlerts:
    """The alerts that fire, by name."""

    def __init__(self, firing: Iterable[DeliveredAlert]) -> None:
        self._labels: dict[str | None, list[Mapping[str, str]]] = {}
        self._checked = 0
        for alert in firing:
            self._labels.setdefault(alert.labels.get("alertname"), []).append(alert.labels)

    async def find_cause(self, guard: AlertFiring) -> str | None:
        """Return the cause in words, where an alert matches the guard; other tasks get turns in between."""
        for labels in self._labels.get(guard.alert, ()):
            if cause := guard.cause(labels):
                return cause
            self._checked += 1
            if self._checked % _ALERTS_PER_SLICE == 0:
                await asyncio.sleep(0)
        return None


def _end_if_unchanged(record: Record, now: float) -> Change:
    """End the fault, unless it was replaced by a fault of its name or its guard was changed."""

    def change(state: State) -> State:
        same = [
            each for each in state.live(now) if (each.identity, each.spec.guard) == (record.identity, record.spec.guard)
        ]
        return changes.end(record.name, now)(state) if same else state

    return change
