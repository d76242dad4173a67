"""Clock steps while faults are live: no fault lasts longer than requested, and none acts again after its end."""

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
from tests.tiny_app import Crowd, constant

HOUR = 3600.0


class Times:
    """The wall clock, which can be stepped, and the monotonic clock."""

    def __init__(self) -> None:
        self.shared = Clock()
        self.steady = Clock()
        self.steady.now = 500.0

    def run(self, seconds: float) -> None:
        """Let time pass."""
        self.shared.now += seconds
        self.steady.now += seconds

    def set(self, seconds: float) -> None:
        """Step the wall clock."""
        self.shared.now += seconds


@pytest.fixture
def times() -> Times:
    """Return both clocks."""
    return Times()


def loaded(times: Times, created: float = 0.0, **schedule: Any) -> tuple[Engine, ActiveFault]:
    """Return an engine with the fault `f`, created `seconds` from now, and its run."""
    spec = Fault.model_validate({"name": "f", "effect": {"type": "error"}, "schedule": schedule})
    engine = Engine(ROUTES, times.shared, times.steady)
    engine.load(
        State(revision=1, faults=(Record(name="f", spec=spec, created_at=times.shared.now + created, revision=1),))
    )
    (run,) = engine.active_faults()
    return engine, run


@pytest.mark.parametrize("step", [-HOUR, -10.0, -0.5])
def test_a_backward_clock_step_does_not_prolong_or_restart_a_fault(times: Times, step: float) -> None:
    """The fault continues unchanged; after its end it stays ended."""
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
def test_a_forward_clock_step_ends_a_fault_for_good(times: Times, step: float) -> None:
    """Its end has passed by the wall clock; correcting the clock does not restart the fault."""
    engine, run = loaded(times, duration="3s")
    times.run(1)
    times.set(step)
    assert hits(engine) == []
    times.set(-step)
    assert hits(engine) == []
    assert not run.active()


@pytest.mark.parametrize("step", [-HOUR, -10.0, 10.0])
def test_a_scheduled_fault_starts_no_later_than_scheduled(times: Times, step: float) -> None:
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


def test_the_strength_continues_smoothly_across_a_clock_step(times: Times) -> None:
    """A ramp of 100 s rises by a hundredth each second, whatever the steps of the clock."""
    _, run = loaded(times, duration="100s", shape={"type": "ramp", "up": "100s"})
    seen = []
    for second in range(100):
        seen.append(run.strength())
        times.run(1)
        times.set(-HOUR if second == 50 else 0)
    assert seen == pytest.approx([second / 100 for second in range(100)])


def test_a_fault_created_in_the_clocks_future_never_acts_and_is_ended(times: Times) -> None:
    """As after a restart with a clock that was stepped back; a small difference is tolerated."""
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


def test_no_change_acts_on_a_replica_that_shuts_down(times: Times) -> None:
    """Neither a new fault nor a patch, while the last requests are served."""
    engine, run = loaded(times, duration="15m")
    engine.release()
    longer = run.compiled.record.model_copy(update={"revision": 2})
    new = run.compiled.record.model_copy(update={"name": "g", "created_at": times.shared.now + 1})
    engine.load(State(revision=2, faults=(new, longer)))
    times.run(2)
    assert hits(engine) == []
    assert engine.ended_by_clock() == []


def test_a_held_request_is_released_at_the_faults_end_in_spite_of_a_clock_step(clock: Clock) -> None:
    """A fault of ten seconds holds a request for an hour; after one second the clock is stepped back by an hour."""
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


def test_the_api_reports_the_end_and_its_reason_after_a_clock_step(clock: Clock) -> None:
    """A fault of a minute; after half of it the clock is stepped back by an hour."""
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
    """Wait until the guard watcher has ended the fault."""
    while client.get("/admin/audit").json()["entries"][0]["action"] != "end":
        asyncio.run(asyncio.sleep(0.05))
