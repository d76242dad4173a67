"""Compare any sequence of changes and time with a simple model."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chaosapi.faults.fault import Fault
from chaosapi.world.world import World
from tests.conftest import Clock
from tests.subjects import DURATIONS, FLAG, NAMES, SPECS, Direct, Http, Seen


@dataclass
class Expected:
    """One fault of the model."""

    spec: Fault
    created_at: float
    ended_at: float = math.inf
    matched: int = 0
    spared: int = 0

    @property
    def starts_at(self) -> float:
        return self.created_at + self.spec.schedule.start_after

    @property
    def ends_at(self) -> float:
        return min(self.starts_at + self.spec.schedule.duration, self.ended_at)


class Model(RuleBasedStateMachine):
    """Compare a service with the simplest model after every step."""

    def __init__(self, make: Callable[[Clock], Direct | Http]) -> None:
        super().__init__()
        self.clock = Clock()
        self.service = make(self.clock)
        self.faults: dict[str, Expected] = {}
        self.halted: str | None = None
        self.flag = False
        self.audit: list[tuple[int, str, str | None]] = []

    def live(self, name: str) -> bool:
        return name in self.faults and self.clock.now < self.faults[name].ends_at

    def changed(self, action: str, name: str | None = None) -> None:
        self.audit.append((len(self.audit) + 1, action, name))

    def end_them_all(self) -> None:
        for name in filter(self.live, self.faults):
            self.faults[name].ended_at = self.clock.now

    def put(self, action: str, spec: Fault) -> None:
        assert spec.name
        self.faults[spec.name] = Expected(spec, self.clock.now)
        self.changed(action, spec.name)

    @rule(spec=SPECS)
    def create(self, spec: Fault) -> None:
        """Refused while a live fault has the name, or chaos is halted."""
        fits = self.halted is None and not self.live(spec.name or "")
        assert self.service.create(spec) == fits
        if fits:
            self.put("create", spec)

    @rule(spec=SPECS)
    def replace(self, spec: Fault) -> None:
        """Refused while chaos is halted; the same fault again is a no-op."""
        assert self.service.replace(spec) == (self.halted is None)
        same = self.live(spec.name or "") and self.faults[spec.name or ""].spec == spec
        if self.halted is None and not same:
            self.put("replace", spec)

    @rule(name=NAMES, duration=DURATIONS)
    def patch(self, name: str, duration: int) -> None:
        """Refused without a live fault, or if the fault would have ended."""
        fits = self.live(name) and self.faults[name].starts_at + duration > self.clock.now
        assert self.service.patch(name, {"schedule": {"duration": duration}}) == fits
        if fits and self.faults[name].spec.schedule.duration != duration:
            schedule = self.faults[name].spec.schedule.model_copy(update={"duration": float(duration)})
            self.faults[name].spec = self.faults[name].spec.model_copy(update={"schedule": schedule})
            self.changed("patch", name)

    @rule(name=NAMES)
    def end(self, name: str) -> None:
        """Refused without a live fault."""
        fits = self.live(name)
        assert self.service.end(name) == fits
        if fits:
            self.faults[name].ended_at = self.clock.now
            self.changed("end", name)

    @rule()
    def end_all(self) -> None:
        """Never refused; a no-op without live faults."""
        assert self.service.end_all()
        if any(map(self.live, self.faults)):
            self.end_them_all()
            self.changed("end_all")

    @rule(reason=st.sampled_from(["", "drill"]))
    def halt(self, reason: str) -> None:
        """Never refused; a no-op if chaos is halted for the same reason."""
        assert self.service.halt(reason)
        if self.halted != reason:
            self.end_them_all()
            self.changed("halt")
        self.halted = reason

    @rule()
    def resume(self) -> None:
        """Never refused; a no-op unless chaos is halted."""
        assert self.service.resume()
        if self.halted is not None:
            self.changed("resume")
        self.halted = None

    @rule(on=st.booleans())
    def switch(self, *, on: bool) -> None:
        """Never refused, also while chaos is halted; a no-op if the flag is so already."""
        assert self.service.switch(on=on)
        if self.flag != on:
            self.changed("world")
        self.flag = on

    @rule(seconds=st.integers(1, 25))
    def wait(self, seconds: int) -> None:
        """Advance the clock."""
        self.clock.now += seconds

    @invariant()
    def agree(self) -> None:
        """Each change has one revision and one audit entry; faults and matched requests equal the model's."""
        self.service.request()
        phases = {}
        world = World.model_validate({"flags": {FLAG: self.flag}})
        for name, fault in self.faults.items():
            ended = self.clock.now >= fault.ends_at
            started = self.clock.now >= fault.starts_at
            phases[name] = "ended" if ended else "active" if started else "scheduled"
            active = phases[name] == "active"
            fault.matched += active
            fault.spared += active and fault.spec.unmet(world, "") is not None
        matched = {name: fault.matched for name, fault in self.faults.items()}
        spared = {name: fault.spared for name, fault in self.faults.items()}
        assert self.service.seen() == Seen(len(self.audit), phases, matched, spared, self.flag, self.audit)
        self.clock.now += 1  # a fault is told from its namesake by when it was made

    def teardown(self) -> None:
        """Stop the service."""
        self.service.close()


@pytest.mark.parametrize(("make", "examples"), [(Direct, 60), (Http, 8)])
def test_any_sequence_of_changes_and_time_agrees_with_a_simple_model(
    make: Callable[[Clock], Direct | Http], examples: int
) -> None:
    """Create, replace, patch, end, kill switch, halt, resume, a flag and time, in any order, in the core and over HTTP.

    The revision grows by one with each change and never otherwise, the audit has one entry for each, no fault outlives
    its end, and requests meet exactly the faults that are active, also when time alone has ended or started them.
    A fault with a condition spares exactly the requests that come while it does not hold.
    """
    many = settings(max_examples=examples, stateful_step_count=20, deadline=None, derandomize=True)
    run_state_machine_as_test(lambda: Model(make), settings=many)  # type: ignore[arg-type]  # calls it, no more
