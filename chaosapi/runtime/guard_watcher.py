"""Looks after the guards: ends a fault whose condition to stop has come true."""

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
from chaosapi.telemetry.requests import AnswerCounts

_INTERVAL_S = 1.0
"""Seconds between two looks."""
_ALERTS_PER_SLICE = 500
"""Alerts that guards look at without a pause."""

log = get_logger("chaosapi.runtime.guard_watcher")


class GuardWatcher:
    """Knows what each fault has cost since it began to act, and which alerts are firing.

    It also ends, for all, what is over here though the shared clock says otherwise; `settle` lets the replica look
    again which faults may act.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        inbox: Inbox,
        answers: Callable[[], AnswerCounts],
        settle: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._engine, self._inbox, self._answers, self._settle = store, engine, inbox, answers, settle
        self._evaluations = 0
        self._evaluating = asyncio.Lock()
        self._checked_deliveries: dict[tuple[str, float, int], int] = {}
        """By fault and revision: the last delivery of an alert after which its guard was asked in vain."""
        self._starts: dict[tuple[str, float], tuple[float, AnswerCounts]] = {}

    async def run(self) -> None:
        """Look every second, until cancelled."""
        while True:
            await self.evaluate()
            await asyncio.sleep(_INTERVAL_S)

    async def evaluate(self) -> None:
        """End every fault whose guard says so; call it also when an alert has arrived.

        All who call it while it looks share the next look.
        """
        asked = self._evaluations + 1
        async with self._evaluating:
            if self._evaluations < asked:
                self._evaluations += 1
                await self._evaluate_guards()

    async def _evaluate_guards(self) -> None:
        self._settle()
        for record, why in self._engine.outlived():
            await self._end_fault(record, "clock", why)
        self.snapshot_counters(unguarded=True)
        for run in self._engine.live():
            run.strength()  # bursts are drawn as time passes, not all by the request that comes after a quiet hour
        await self._inbox.catch_up()
        version = self._inbox.deliveries
        live = [run.plan.record for run in self._engine.live() if run.remaining() > 0]
        guarded = [record for record in live if record.spec.guard]
        burned = await self._budget_causes(guarded)
        alerts = _FiringAlerts(self._inbox.firing())
        heard: dict[tuple[str, float, int], int] = {}
        for record in guarded:
            key = (*record.identity, record.revision)
            cause = burned.get(record.identity)
            stop_when = record.spec.guard and record.spec.guard.stop_when
            if isinstance(stop_when, AlertFiring) and record.identity in self._starts:
                # What fired at the last look was not meant, unless there is news.
                cause = None if self._checked_deliveries.get(key) == version else await alerts.find_cause(stop_when)
                heard[key] = version
            if cause and not await self._end_fault(record, "guard", cause):
                heard.pop(key, None)
        self._checked_deliveries = heard

    async def _budget_causes(self, guarded: Sequence[Record]) -> dict[tuple[str, float], str]:
        """Say what each fault has burned too much of; to add up all workers takes a while, so it is done once."""
        watched = [
            (record.identity, record.spec.guard.stop_when, self._starts[record.identity])
            for record in guarded
            if record.spec.guard and isinstance(record.spec.guard.stop_when, BudgetBurned)
            if record.identity in self._starts
        ]
        if not watched:
            return {}
        after = await asyncio.to_thread(self._answers)
        now = self._engine.steady()
        causes = (
            (key, burned.seen(after.total - before.total, after.failed - before.failed, now - since))
            for key, burned, (since, before) in watched
        )
        return {key: cause for key, cause in causes if cause}

    async def _end_fault(self, record: Record, actor: str, cause: str) -> bool:
        now = self._engine.clock()
        entry = AuditEntry(at=now, actor=actor, action="end", fault=record.name, reason=f"{actor}: {cause}")
        try:
            await self._store.apply(_end_if_unchanged(record, now), entry)
        except StoreUnavailable as error:
            log.warning("a fault cannot be ended yet", fault=record.name, by=actor, reason=str(error))
            return False
        except Exception:
            log.exception("a fault could not be ended; trying again", fault=record.name, by=actor)
            return False
        return True

    def snapshot_counters(self, *, unguarded: bool = False) -> None:
        """Note what the counters say where a fault has begun to act; call it also on every change.

        Faults without a guard, which may get one later, can wait for the beat: to add up all workers takes a while.
        """
        now = self._engine.steady()
        records = [run.plan.record for run in self._engine.live() if run.early() <= 0 < run.remaining()]
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
        """Say which alert is the one, if any is; others have their turn in between."""
        for labels in self._labels.get(guard.alert, ()):
            if cause := guard.seen(labels):
                return cause
            self._checked += 1
            if self._checked % _ALERTS_PER_SLICE == 0:
                await asyncio.sleep(0)
        return None


def _end_if_unchanged(record: Record, now: float) -> Change:
    """End this very fault: not a new one of its name, and not once its guard was changed."""

    def change(state: State) -> State:
        same = [
            each for each in state.live(now) if (each.identity, each.spec.guard) == (record.identity, record.spec.guard)
        ]
        return changes.end(record.name, now)(state) if same else state

    return change
