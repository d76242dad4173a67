"""The threads of process effects, in this process: with real effects, real faults, and a fake clock."""

import asyncio
import mmap
import sys
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from chaosapi.effects import memory
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import State
from chaosapi.injection.engine import Engine
from chaosapi.routing import RouteTable
from chaosapi.runtime.process_effects import ProcessEffectRunner
from tests.conftest import Clock
from tests.effects.test_cpu import burners
from tests.injection.test_conditions import RETRIES, retries
from tests.patience import until


class Replica:
    """An engine and its process effect runner, connected as in wiring.py."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.state = State()
        self.engine = Engine(RouteTable.of([]), clock, replica="shop-1")
        self.supervisor = ProcessEffectRunner()

    def start(self) -> None:
        """Start the effects."""
        self.supervisor.start(asyncio.new_event_loop(), self.engine.active_faults())

    def apply(self, change: Change) -> None:
        """Apply a change and load the state."""
        self.state = change(self.state)
        self.engine.load(self.state)
        self.supervisor.sync(self.engine.active_faults())

    def create(self, effect: dict[str, Any], **fault: Any) -> None:
        """Create the fault `f`."""
        spec = Fault.model_validate({"name": "f", "effect": effect, **fault})
        self.apply(changes.create(spec, self.clock()))

    def fails(self) -> bool:
        """Return whether the readiness probe fails."""
        return self.supervisor.probes.fails("readiness")

    def receipt(self) -> Any:
        """Return the receipt of the fault `f`."""
        return self.engine.counts_of(self.state.find("f")).receipt(1)


@pytest.fixture
def replica(clock: Clock) -> Iterator[Replica]:
    """Yield a started replica."""
    made = Replica(clock)
    made.start()
    yield made
    assert made.supervisor.loop
    made.supervisor.loop.close()
    made.supervisor.stop()
    until(lambda: threads() == [])  # those of effects that were replaced end by themselves


def threads() -> list[threading.Thread]:
    """Return the threads of effects."""
    return [thread for thread in threading.enumerate() if thread.name.startswith("chaosapi-")]


def test_an_effect_acts_from_the_faults_start_to_its_end(replica: Replica, clock: Clock) -> None:
    """Without any call; after the end the probe succeeds, and the thread ends."""
    replica.create({"type": "health"}, schedule={"start_after": "1m", "duration": "1m"})
    assert len(threads()) == 1
    assert not replica.fails()
    clock.now += 60
    until(replica.fails)
    clock.now += 60
    assert not replica.fails()
    until(lambda: threads() == [])


def test_a_patch_of_the_effect_restarts_it(replica: Replica, clock: Clock) -> None:
    """The old effect releases its resources first; a patch of another field does not restart it."""
    replica.create({"type": "health"})
    until(replica.fails)
    (thread,) = threads()
    replica.apply(changes.patch("f", {"reason": "x"}, Fault.model_validate, clock()))
    assert threads() == [thread]
    replica.apply(changes.patch("f", {"effect": {"probe": "liveness"}}, Fault.model_validate, clock()))
    until(lambda: replica.supervisor.probes.fails("liveness"))
    assert not replica.fails()
    assert not thread.is_alive()


def test_a_replaced_and_an_ended_fault_stop(replica: Replica, clock: Clock) -> None:
    """So does one that the state has dropped."""
    replica.create({"type": "health"})
    until(replica.fails)
    spec = Fault.model_validate({"name": "f", "effect": {"type": "health", "probe": "liveness"}})
    clock.now += 1
    replica.apply(changes.replace(spec, clock()))
    assert not replica.fails()
    until(lambda: replica.supervisor.probes.fails("liveness"))
    replica.apply(changes.end_all(clock()))
    assert not replica.supervisor.probes.fails("liveness")
    until(lambda: threads() == [])
    replica.create({"type": "health"})
    until(replica.fails)
    replica.apply(lambda _: State())
    assert not replica.fails()
    until(lambda: threads() == [])


def test_an_effect_stops_with_its_condition_and_acts_again_with_it(replica: Replica) -> None:
    """What it has taken is freed in between; nothing counts as an act."""
    replica.create({"type": "health"}, **{"while": RETRIES})
    until(replica.fails)
    replica.apply(retries(0))
    assert not replica.fails()
    until(lambda: threads() == [])
    assert [fault.strength() for fault in replica.engine.live()] == [0]
    acts = replica.receipt().injected
    replica.apply(retries(2))
    until(replica.fails)
    assert acts == replica.receipt().injected - 1


def test_memory_is_free_while_the_condition_does_not_hold(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """It grows again from nothing when the condition holds again."""
    limit = 8 * 2**20
    chunks: list[mmap.mmap] = []

    def allocate(size: int) -> mmap.mmap:
        chunks.append(mmap.mmap(-1, size))
        return chunks[-1]

    def held() -> int:
        return sum(len(chunk) for chunk in chunks if not chunk.closed)

    monkeypatch.setattr(memory, "_allocate", allocate)
    replica.create({"type": "memory", "limit": limit, "rate": "1GiB"}, **{"while": RETRIES})
    until(lambda: held() == limit)
    replica.apply(retries(0))
    until(lambda: held() == 0)
    replica.apply(retries(2))
    until(lambda: held() == limit)


def test_load_on_the_processor_stops_with_the_condition(replica: Replica) -> None:
    """Its processes end, and start again."""
    replica.create({"type": "cpu", "cores": 0.1}, **{"while": RETRIES})
    until(lambda: len(burners()) == 1)
    replica.apply(retries(0))
    until(lambda: burners() == [])
    replica.apply(retries(2))
    until(lambda: len(burners()) == 1)


def test_a_process_crashes_only_if_the_condition_holds_when_it_is_due(
    replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An action in time prevents it; when the condition holds again, `after` begins anew."""
    crashed = threading.Event()
    monkeypatch.setattr("chaosapi.effects.crash.os._exit", lambda _: crashed.set())
    replica.create({"type": "crash", "after": "500ms"}, **{"while": RETRIES})
    replica.apply(retries(0))
    until(lambda: threads() == [])
    assert not crashed.is_set()
    replica.apply(retries(2))
    until(crashed.is_set)


def test_an_effect_acts_on_named_replicas_alone(replica: Replica, clock: Clock) -> None:
    """This one is `shop-1`; a patch moves the fault."""
    replica.create({"type": "health"}, target={"replicas": ["shop-2"]})
    assert threads() == []
    assert not replica.fails()
    replica.apply(changes.patch("f", {"target": {"replicas": ["shop-1"]}}, Fault.model_validate, clock()))
    until(replica.fails)
    replica.apply(changes.patch("f", {"target": {"replicas": ["shop-3"]}}, Fault.model_validate, clock()))
    assert not replica.fails()
    until(lambda: threads() == [])


def test_no_effect_acts_before_startup_or_after_shutdown(clock: Clock) -> None:
    """Importing the app with a store full of faults has no effect."""
    replica = Replica(clock)
    replica.create({"type": "health"})
    assert threads() == []
    replica.start()
    until(replica.fails)
    assert replica.supervisor.loop
    replica.supervisor.loop.close()
    replica.supervisor.stop()
    assert not replica.fails()
    assert threads() == []
    replica.apply(changes.end_all(clock()))
    replica.create({"type": "health"})
    assert threads() == []


def test_a_failing_effect_is_counted_and_affects_no_other(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> None:
    """If no process can be started, `cpu` cannot act: the receipt counts it."""
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    replica.create({"type": "cpu"})
    until(lambda: replica.receipt().skipped == 1)
    until(lambda: threads() == [])
    assert replica.receipt().injected == 0
    other = Fault.model_validate({"name": "g", "effect": {"type": "health"}})
    replica.apply(changes.create(other, clock()))
    until(replica.fails)


def test_cpu_faults_share_their_processes(replica: Replica, clock: Clock) -> None:
    """Ten faults of a hundredth of a core share one process, which ends with the last fault."""
    for number in range(10):
        spec = Fault.model_validate({"name": f"f{number}", "effect": {"type": "cpu", "cores": 0.01}})
        replica.apply(changes.create(spec, clock()))
    until(lambda: all(replica.engine.counts_of(record).injected for record in replica.state.faults))
    assert len(burners()) == 1
    for number in range(9):
        replica.apply(changes.end(f"f{number}", clock()))
    until(lambda: len(threads()) == 1)
    assert len(burners()) == 1
    replica.apply(changes.end_all(clock()))
    until(lambda: burners() == [])
