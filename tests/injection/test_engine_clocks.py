"""Clocks that are set while faults live: no fault lasts longer than asked for, and none comes back."""

import asyncio
from typing import Any

import pytest
from fastapi.testclient import TestClient

from chaosapi.app import create_app
from chaosapi.faults.fault import Fault, Record
from chaosapi.faults.state import State
from chaosapi.injection.engine import ActiveFault, Engine
from chaosapi.settings import Settings
from tests.conftest import Clock
from tests.injection.test_engine import ROUTES, hits
from tests.world import Crowd, constant

HOUR = 3600.0


class Times:
    """The shared clock, which can be set, and the steady one; both run."""

    def __init__(self) -> None:
        self.shared, self.steady = Clock(), Clock()
        self.steady.now = 500.0

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.shared.now += seconds
        self.steady.now += seconds

    def set(self, seconds: float) -> None:
        """Set the shared clock forward, or back."""
        self.shared.now += seconds


@pytest.fixture
def times() -> Times:
    """Return both clocks."""
    return Times()


def loaded(times: Times, created: float = 0.0, **schedule: Any) -> tuple[Engine, ActiveFault]:
    """Return an engine with the fault `f`, made so many seconds from now, and its run."""
    spec = Fault.model_validate({"name": "f", "effect": {"type": "error"}, "schedule": schedule})
    engine = Engine(ROUTES, times.shared, times.steady)
    engine.load(
        State(revision=1, faults=(Record(name="f", spec=spec, created_at=times.shared.now + created, revision=1),))
    )
    (run,) = engine.active_faults()
    return engine, run


@pytest.mark.parametrize("step", [-HOUR, -10.0, -0.5])
def test_a_clock_that_is_set_back_does_not_prolong_a_fault_nor_bring_it_back(times: Times, step: float) -> None:
    """It runs on as if nothing had been; after its end it stays ended, at every later time."""
    engine, run = loaded(times, duration="3s")
    times.run(1)
    times.set(step)
    assert hits(engine) == ["f"]
    assert run.remaining() == pytest.approx(2)
    times.run(2)
    assert hits(engine) == []
    for _ in range(100):
        times.run(abs(step) / 50)
        assert hits(engine) == []
        assert run.remaining() <= 0
        assert run.strength() == 0


@pytest.mark.parametrize("step", [10.0, HOUR])
def test_a_clock_that_is_set_forward_ends_it_early_and_for_good(times: Times, step: float) -> None:
    """Its time has passed by the shared clock; that this is set right again brings nothing back."""
    engine, run = loaded(times, duration="3s")
    times.run(1)
    times.set(step)
    assert hits(engine) == []
    times.set(-step)
    assert hits(engine) == []
    assert not run.active()


@pytest.mark.parametrize("step", [-HOUR, -10.0, 10.0])
def test_a_scheduled_fault_starts_no_later_than_it_was_to(times: Times, step: float) -> None:
    """It waits for a minute at most, and lasts for a minute at most."""
    engine, run = loaded(times, start_after="1m", duration="1m")
    times.run(1)
    times.set(step)
    assert hits(engine) == []
    assert run.early() == pytest.approx(59 - max(0.0, step))
    times.run(59)
    assert hits(engine) == ["f"]
    times.run(60)
    assert hits(engine) == []


def test_the_strength_goes_on_smoothly(times: Times) -> None:
    """A ramp of a hundred seconds rises by a hundredth each second, whatever the clock is set to meanwhile."""
    _, run = loaded(times, duration="100s", shape={"type": "ramp", "up": "100s"})
    seen = []
    for second in range(100):
        seen.append(run.strength())
        times.run(1)
        times.set(-HOUR if second == 50 else 0)
    assert seen == pytest.approx([second / 100 for second in range(100)])


def test_a_fault_made_in_the_future_of_the_clock_never_acts_and_is_to_be_ended(times: Times) -> None:
    """As after a restart with a clock that was set back; a small difference of clocks is none."""
    engine, run = loaded(times, created=HOUR, duration="15m")
    for _ in range(3):
        assert hits(engine) == []
        assert not run.active()
        times.run(HOUR)
    times.run(-3 * HOUR)
    assert [reason for _, reason in engine.ended_by_clock()] == [
        "it was made in the future of the clock, which was set back"
    ]
    near, _ = loaded(times, created=30, duration="15m")
    assert hits(near) == ["f"]
    assert near.ended_by_clock() == []
    times.run(900)
    assert hits(near) == []


def test_a_replica_that_stops_lets_no_change_act_any_more(times: Times) -> None:
    """Neither a new fault nor one that is patched while the last requests are answered."""
    engine, run = loaded(times, duration="15m")
    engine.release()
    longer = run.compiled.record.model_copy(update={"revision": 2})
    new = run.compiled.record.model_copy(update={"name": "g", "created_at": times.shared.now + 1})
    engine.load(State(revision=2, faults=(new, longer)))
    times.run(2)
    assert hits(engine) == []
    assert engine.ended_by_clock() == []


def test_a_held_request_is_let_go_when_the_fault_s_time_has_passed(clock: Clock) -> None:
    """Held for an hour by a fault of ten seconds; one second in, the clock is set back by an hour."""
    crowd = Crowd(clock)
    started = clock.now
    shared = Clock()
    crowd.engine = crowd.faults.engine = Engine(ROUTES, shared, clock)
    spec = Fault.model_validate({"name": "f", "effect": constant(HOUR), "schedule": {"duration": "10s"}})
    crowd.engine.load(State(revision=1, faults=(Record(name="f", spec=spec, created_at=shared.now, revision=1),)))

    async def step() -> None:
        await crowd.until(started + 1)
        shared.now -= HOUR - 1

    (answer,) = crowd.play(crowd.visit(started), step())
    assert answer.took == 10


def test_all_who_ask_are_told_of_the_end_and_why(clock: Clock) -> None:
    """A fault of a minute; the clock is set back an hour in the middle of it, and half a minute passes."""
    steady = Clock()
    app = create_app(Settings(access_log=False), clock, steady=steady)
    with TestClient(app, base_url="http://localhost:8000") as client:
        body = {"name": "f", "effect": {"type": "error"}, "schedule": {"duration": "1m"}}
        client.post("/admin/faults", json=body).raise_for_status()
        clock.now += 30 - HOUR
        steady.now += 30
        assert client.get("/api/products").status_code == 503
        shown = client.get("/admin/faults/f").json()
        assert (shown["state"], shown["remaining"]) == ("active", "30s")
        steady.now += 31
        clock.now += 31
        assert client.get("/api/products").status_code == 200
        assert client.get("/admin/faults/f").json()["state"] == "ended"
        assert client.get("/admin/faults?state=active").json()["faults"] == []
        _look(client)
        entry = client.get("/admin/audit").json()["entries"][0]
        assert (entry["actor"], entry["action"], entry["fault"]) == ("clock", "end", "f")
        assert entry["reason"] == "clock: its time has passed, though the clock was set back"
        clock.now += HOUR
        steady.now += HOUR
        assert client.get("/api/products").status_code == 200
        client.post("/admin/faults", json=body).raise_for_status()
        assert client.get("/api/products").status_code == 503


def _look(client: TestClient) -> None:
    """Wait until the guards have looked and ended the fault."""
    while client.get("/admin/audit").json()["entries"][0]["action"] != "end":
        asyncio.run(asyncio.sleep(0.05))
