"""Guards are evaluated in slices, and only after changes: a webhook with many alerts blocks no request."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest

from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.faults.guard import AlertFiring, BudgetBurned
from chaosapi.faults.state import AuditEntry
from chaosapi.injection.engine import Engine
from chaosapi.runtime.guard_watcher import GuardWatcher
from chaosapi.store import MemoryStore
from chaosapi.store.alerts import Delivery, Inbox
from chaosapi.telemetry.requests import AnswerCounts
from tests.captured import captured
from tests.conftest import Clock
from tests.tiny_app import ROUTES

ALERTS = 1000
GUARDS = 30
MISSED = {"alert": "A", "labels": {"n": "none of them"}}
BURNED = {"budget_burned": 0.5}


class Guarded:
    """A store with guarded faults, an inbox, and the guard watcher."""

    def __init__(self, clock: Clock) -> None:
        self.store = MemoryStore(clock)
        self.engine = Engine(ROUTES, clock)
        self.inbox = Inbox()
        self.store.subscribe(self.engine.load)
        self.counted = 0
        self.watch = GuardWatcher(self.store, self.engine, self.inbox, self.answers)

    def answers(self) -> AnswerCounts:
        self.counted += 1
        return AnswerCounts(100.0, 0.0)

    async def guard(self, count: int, stop_when: dict[str, Any]) -> None:
        """Create faults with this guard."""
        for number in range(count):
            body = {"name": f"f{number}", "effect": {"type": "error"}, "guard": {"stop_when": stop_when}}
            change = changes.create(Fault.model_validate(body), self.engine.clock())
            await self.store.apply(change, AuditEntry(at=0, actor="test", action="create"))

    async def fire(self, count: int, name: str = "A") -> None:
        """Deliver alerts of one name."""
        at = datetime.fromtimestamp(self.engine.clock(), UTC)
        await self.inbox.receive(
            [
                Delivery(
                    received_at=at,
                    fingerprint=f"{name}-{number}",
                    status="firing",
                    starts_at=at,
                    ends_at=None,
                    labels={"alertname": name, "n": f"{number}"},
                    annotations={},
                )
                for number in range(count)
            ]
        )


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Count the comparisons of guards with alerts."""
    seen = AlertFiring.cause
    found = []

    def noted(guard: AlertFiring, labels: dict[str, str]) -> str | None:
        found.append(labels["n"])
        return seen(guard, labels)

    monkeypatch.setattr(AlertFiring, "cause", noted)
    return found


def test_the_event_loop_runs_while_guards_are_evaluated(clock: Clock, asked: list[str]) -> None:
    """At least once per thousand comparisons, and while alerts are stored."""

    async def play() -> tuple[int, int]:
        guarded = Guarded(clock)
        await guarded.guard(GUARDS, MISSED)
        turns = 0

        async def others() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        waiting = asyncio.create_task(others())
        await guarded.fire(ALERTS)
        taken = turns
        await guarded.watch.evaluate()
        waiting.cancel()
        return taken, turns - taken

    taken, looked = asyncio.run(play())
    assert len(asked) == ALERTS * GUARDS
    assert taken >= ALERTS / 100
    assert looked >= ALERTS * GUARDS / 1000


def test_guards_are_evaluated_only_after_changes(clock: Clock, asked: list[str]) -> None:
    """After an alert or a changed guard; not on every tick."""

    async def play() -> list[int]:
        guarded = Guarded(clock)
        steps: list[int] = []
        await guarded.guard(2, MISSED)
        await guarded.fire(10)
        for _ in range(3):
            await guarded.watch.evaluate()
            steps.append(len(asked))
        await guarded.fire(1, name="B")  # whose name no guard means, so only the ten are looked at
        await guarded.watch.evaluate()
        steps.append(len(asked))
        changed = changes.patch("f0", {"reason": "x"}, Fault.model_validate, clock.now)
        await guarded.store.apply(changed, AuditEntry(at=0, actor="test", action="patch"))
        await guarded.watch.evaluate()
        steps.append(len(asked))
        return steps

    assert asyncio.run(play()) == [20, 20, 20, 40, 50]


def test_concurrent_calls_share_an_evaluation(clock: Clock, asked: list[str]) -> None:
    """A running evaluation may have missed their alerts, so one more follows."""

    async def play() -> None:
        guarded = Guarded(clock)
        await guarded.guard(1, MISSED)
        await guarded.fire(600)
        first = asyncio.create_task(guarded.watch.evaluate())
        await asyncio.sleep(0)
        await guarded.fire(1, name="B")
        await asyncio.gather(first, *(guarded.watch.evaluate() for _ in range(20)))

    asyncio.run(play())
    assert len(asked) <= 1200


def test_the_counters_are_summed_once_for_all_guards(clock: Clock) -> None:
    """Summing the counters of all workers takes a while."""

    async def play() -> int:
        guarded = Guarded(clock)
        await guarded.guard(20, BURNED)
        await guarded.watch.evaluate()
        before = guarded.counted
        await guarded.watch.evaluate()
        return guarded.counted - before

    assert asyncio.run(play()) == 1


def test_a_guard_retries_a_failed_end(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also without a new alert."""

    async def play() -> list[str]:
        guarded = Guarded(clock)
        phases: list[str] = []
        await guarded.guard(1, {"alert": "A"})
        await guarded.fire(1)
        with monkeypatch.context() as broken:
            broken.setattr(MemoryStore, "apply", away)
            await guarded.watch.evaluate()
        phases.append(guarded.engine.state.find("f0").phase(clock.now))
        await guarded.watch.evaluate()
        phases.append(guarded.engine.state.find("f0").phase(clock.now))
        return phases

    async def away(*_: object) -> None:
        raise RuntimeError("away")

    assert asyncio.run(play()) == ["active", "ended"]


def test_a_budget_guard_ends_its_fault(clock: Clock) -> None:
    """Responses count from the fault's start. The end is in the audit log."""
    burned = BudgetBurned(budget_burned=0.5, objective=0.9, period=100)
    assert burned.cause(100, 100, 10)
    assert burned.cause(100, 100, 1) is None

    async def play() -> str:
        guarded = Guarded(clock)
        await guarded.guard(1, {"budget_burned": 0.5, "objective": 0.9, "period": "100s"})
        await guarded.watch.evaluate()
        clock.now += 10
        guarded.watch._answers = lambda: AnswerCounts(200.0, 100.0)  # noqa: SLF001 - what was answered since
        await guarded.watch.evaluate()
        return guarded.engine.state.find("f0").phase(clock.now)

    with captured("chaosapi.audit") as lines:
        assert asyncio.run(play()) == "ended"
    assert [(line["event"], line["actor"], line["fault"]) for line in lines] == [("fault ended", "guard", "f0")]
