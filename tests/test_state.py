import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
from fastapi.testclient import TestClient
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from chaosapi import state as changes
from chaosapi.app import create_app
from chaosapi.engine import Engine
from chaosapi.errors import ChaosError, Conflict, Invalid, NotFound
from chaosapi.fault import Fault
from chaosapi.routes import Route, RouteTable
from chaosapi.settings import Settings
from chaosapi.state import AuditEntry, Change, State
from chaosapi.store import MemoryStore
from tests.conftest import Clock


def fault(name: str, **fields: Any) -> Fault:
    """Make a fault of one minute."""
    return Fault.model_validate({"name": name, "effect": {"type": "error"}, "schedule": {"duration": 60}, **fields})


def after(*steps: Change) -> State:
    """Apply changes to the empty state."""
    state = State()
    for step in steps:
        state = step(state)
    return state


def test_every_change_adds_one_to_the_revision() -> None:
    """Also the kill switch, once for all that it ends."""
    state = after(changes.create(fault("a"), 0), changes.create(fault("b"), 1), changes.end_all(2))
    assert state.revision == 3
    assert [(record.name, record.revision, record.ended_at) for record in state.faults] == [("b", 3, 2), ("a", 3, 2)]


@pytest.mark.parametrize(
    "nothing",
    [
        changes.end_all(100),
        changes.resume(),
        changes.replace(fault("a"), 1),
        changes.patch("a", {"rate": 1}, Fault.model_validate, 1),
    ],
)
def test_what_changes_nothing_leaves_the_revision(nothing: Change) -> None:
    """Ending none, resuming what runs, replacing or patching with the same."""
    state = after(changes.create(fault("a"), 0))
    assert nothing(state) is state


def test_a_live_name_is_taken_and_an_ended_one_is_free() -> None:
    """History keeps one fault a name: the latest."""
    state = after(changes.create(fault("a"), 0))
    with pytest.raises(Conflict, match="PUT"):
        changes.create(fault("a"), 59)(state)
    again = changes.create(fault("a"), 60)(state)
    assert [(record.name, record.created_at) for record in again.faults] == [("a", 60)]


def test_replacing_starts_the_clock_anew() -> None:
    """Another spec under the same name is a new fault."""
    state = after(changes.create(fault("a"), 0), changes.replace(fault("a", rate=0.5), 30))
    assert [(record.created_at, record.spec.rate) for record in state.faults] == [(30, 0.5)]


def test_a_patch_keeps_the_clock_running() -> None:
    """The fault is changed in place; null brings a default back."""
    state = after(changes.create(fault("a", rate=0.5, seed=3), 0))
    patched = changes.patch("a", {"rate": 0.25, "seed": None}, Fault.model_validate, 30)(state)
    assert [(each.created_at, each.spec.rate, each.spec.seed, each.ends_at) for each in patched.faults] == [
        (0, 0.25, 0, 60)
    ]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (changes.end("nobody", 1), NotFound),
        (changes.end("a", 60), Conflict),
        (changes.patch("a", {"rate": 0.1}, Fault.model_validate, 60), Conflict),
        (changes.patch("a", {"name": "b"}, Fault.model_validate, 1), Invalid),
        (changes.patch("a", {"schedule": {"duration": 5}}, Fault.model_validate, 30), Invalid),
    ],
)
def test_what_does_not_fit_is_refused(change: Change, error: type[ChaosError]) -> None:
    """Unknown, ended, renamed, or ended in the past."""
    with pytest.raises(error):
        change(after(changes.create(fault("a"), 0)))


def test_a_halt_ends_all_and_refuses_all_until_it_is_lifted() -> None:
    """Create, replace and patch are refused with the reason."""
    state = after(changes.create(fault("a"), 0), changes.halt("fire drill", 5))
    assert state.live(5) == []
    for change in (changes.create(fault("b"), 6), changes.replace(fault("a"), 6)):
        with pytest.raises(Conflict, match="fire drill"):
            change(state)
    assert [each.name for each in after(lambda _: state, changes.resume(), changes.create(fault("b"), 7)).live(7)] == [
        "b"
    ]


def test_only_the_last_hundred_ended_faults_are_remembered() -> None:
    """Live ones are all kept; how many there may be is a limit of the API."""
    state = after(*(changes.create(fault(f"f-{number}"), 0) for number in range(150)))
    assert len(state.live(1)) == 150
    for number in range(150):
        state = changes.create(fault(f"late-{number}", schedule={"duration": 1}), 100 + 2 * number)(state)
    assert len(state.live(1000)) == 0
    assert len(state.faults) <= changes.MAX_ENDED + 1


NAMES = st.sampled_from("abc")
DURATIONS = st.sampled_from([10, 20, 60])
IDLE = {"type": "latency", "distribution": {"type": "constant", "value": 0}}
SPECS = st.builds(
    lambda name, start_after, duration: fault(
        name, effect=IDLE, schedule={"start_after": start_after, "duration": duration}
    ),
    NAMES,
    st.sampled_from([0, 10]),
    DURATIONS,
)


class Seen(NamedTuple):
    """What a service shows of itself."""

    revision: int
    phases: dict[str, str]
    matched: dict[str, int]
    audit: list[tuple[int, str, str | None]]
    """Revision, action and fault, oldest first."""


class Direct:
    """The store and the engine of one replica, without HTTP."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.store = MemoryStore()
        self.engine = Engine(RouteTable((Route("/a", re.compile("^/a$"), frozenset({"GET"}), 200),)), clock)
        self.store.subscribe(self.engine.load)

    def create(self, spec: Fault) -> bool:
        return self._do("create", changes.create(spec, self.clock.now), spec.name)

    def replace(self, spec: Fault) -> bool:
        return self._do("replace", changes.replace(spec, self.clock.now), spec.name)

    def patch(self, name: str, document: dict[str, Any]) -> bool:
        return self._do("patch", changes.patch(name, document, Fault.model_validate, self.clock.now), name)

    def end(self, name: str) -> bool:
        return self._do("end", changes.end(name, self.clock.now), name)

    def end_all(self) -> bool:
        return self._do("end_all", changes.end_all(self.clock.now))

    def halt(self, reason: str) -> bool:
        return self._do("halt", changes.halt(reason, self.clock.now))

    def resume(self) -> bool:
        return self._do("resume", changes.resume())

    def _do(self, action: str, change: Change, name: str | None = None) -> bool:
        entry = AuditEntry(at=self.clock.now, actor="test", action=action, fault=name)
        try:
            asyncio.run(self.store.apply(change, entry))
        except ChaosError:
            return False
        return True

    def request(self) -> None:
        self.engine.roll({"method": "GET", "headers": []}, "/a", "r")

    def seen(self) -> Seen:
        state = self.engine.state
        entries = asyncio.run(self.store.audit(1000))
        return Seen(
            state.revision,
            {each.name: each.phase(self.clock.now) for each in state.faults},
            {each.name: self.engine.tally(each).matched for each in state.faults},
            [(each.revision, each.action, each.fault) for each in reversed(entries)],
        )

    def close(self) -> None:
        """Nothing was started."""


class Http:
    """A whole service, and nothing but its HTTP API."""

    def __init__(self, clock: Clock) -> None:
        app = create_app(Settings(access_log=False), clock)
        self.client = TestClient(app, base_url="http://localhost").__enter__()

    def create(self, spec: Fault) -> bool:
        return self._do("POST", "faults", spec.model_dump(mode="json"))

    def replace(self, spec: Fault) -> bool:
        return self._do("PUT", f"faults/{spec.name}", spec.model_dump(mode="json"))

    def patch(self, name: str, document: dict[str, Any]) -> bool:
        return self._do("PATCH", f"faults/{name}", document)

    def end(self, name: str) -> bool:
        return self._do("DELETE", f"faults/{name}")

    def end_all(self) -> bool:
        return self._do("DELETE", "faults")

    def halt(self, reason: str) -> bool:
        return self._do("POST", "halt", {"reason": reason})

    def resume(self) -> bool:
        return self._do("DELETE", "halt")

    def _do(self, method: str, path: str, body: Any = None) -> bool:
        answer = self.client.request(method, f"/admin/{path}", json=body)
        assert answer.status_code in {200, 201, 404, 409, 422}, answer.text
        return answer.is_success

    def request(self) -> None:
        self.client.get("/api/products")

    def seen(self) -> Seen:
        known = self.client.get("/admin/faults").json()
        entries = self.client.get("/admin/audit?limit=1000").json()["entries"]
        return Seen(
            known["revision"],
            {each["name"]: each["state"] for each in known["faults"]},
            {each["name"]: each["receipt"]["matched"] for each in known["faults"]},
            [(each["revision"], each["action"], each["fault"]) for each in reversed(entries)],
        )

    def close(self) -> None:
        self.client.__exit__()


@dataclass
class Expected:
    """What the model knows of one fault."""

    spec: Fault
    created_at: float
    ended_at: float = math.inf
    matched: int = 0

    @property
    def starts_at(self) -> float:
        return self.created_at + self.spec.schedule.start_after

    @property
    def ends_at(self) -> float:
        return min(self.starts_at + self.spec.schedule.duration, self.ended_at)


class Model(RuleBasedStateMachine):
    """A service beside the simplest model of it: they must agree after every step."""

    def __init__(self, make: Callable[[Clock], Direct | Http]) -> None:
        super().__init__()
        self.clock = Clock()
        self.service = make(self.clock)
        self.faults: dict[str, Expected] = {}
        self.halted: str | None = None
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
        """Refused while the name lives, or chaos is halted."""
        fits = self.halted is None and not self.live(spec.name or "")
        assert self.service.create(spec) == fits
        if fits:
            self.put("create", spec)

    @rule(spec=SPECS)
    def replace(self, spec: Fault) -> None:
        """Refused while chaos is halted; the same again changes nothing."""
        assert self.service.replace(spec) == (self.halted is None)
        same = self.live(spec.name or "") and self.faults[spec.name or ""].spec == spec
        if self.halted is None and not same:
            self.put("replace", spec)

    @rule(name=NAMES, duration=DURATIONS)
    def patch(self, name: str, duration: int) -> None:
        """Refused where nothing lives, or it would have ended before now."""
        fits = self.live(name) and self.faults[name].starts_at + duration > self.clock.now
        assert self.service.patch(name, {"schedule": {"duration": duration}}) == fits
        if fits and self.faults[name].spec.schedule.duration != duration:
            schedule = self.faults[name].spec.schedule.model_copy(update={"duration": float(duration)})
            self.faults[name].spec = self.faults[name].spec.model_copy(update={"schedule": schedule})
            self.changed("patch", name)

    @rule(name=NAMES)
    def end(self, name: str) -> None:
        """Refused where nothing lives."""
        fits = self.live(name)
        assert self.service.end(name) == fits
        if fits:
            self.faults[name].ended_at = self.clock.now
            self.changed("end", name)

    @rule()
    def end_all(self) -> None:
        """Never refused; a change only where something lives."""
        assert self.service.end_all()
        if any(map(self.live, self.faults)):
            self.end_them_all()
            self.changed("end_all")

    @rule(reason=st.sampled_from(["", "drill"]))
    def halt(self, reason: str) -> None:
        """Never refused; a change unless it is halted already for that reason."""
        assert self.service.halt(reason)
        if self.halted != reason:
            self.end_them_all()
            self.changed("halt")
        self.halted = reason

    @rule()
    def resume(self) -> None:
        """Never refused; a change only where chaos is halted."""
        assert self.service.resume()
        if self.halted is not None:
            self.changed("resume")
        self.halted = None

    @rule(seconds=st.integers(1, 25))
    def wait(self, seconds: int) -> None:
        """Time passes, and nobody tells the service."""
        self.clock.now += seconds

    @invariant()
    def agree(self) -> None:
        """One revision and one audit entry a change; the faults, and whom a request meets, are those of the model."""
        self.service.request()
        phases = {}
        for name, fault in self.faults.items():
            ended, started = self.clock.now >= fault.ends_at, self.clock.now >= fault.starts_at
            phases[name] = "ended" if ended else "active" if started else "scheduled"
            fault.matched += phases[name] == "active"
        matched = {name: fault.matched for name, fault in self.faults.items()}
        assert self.service.seen() == Seen(len(self.audit), phases, matched, self.audit)
        self.clock.now += 1  # a fault is told from its namesake by when it was made

    def teardown(self) -> None:
        """Stop what was started."""
        self.service.close()


@pytest.mark.parametrize(("make", "examples"), [(Direct, 60), (Http, 8)])
def test_any_sequence_of_changes_and_time_leads_where_a_simple_model_does(
    make: Callable[[Clock], Direct | Http], examples: int
) -> None:
    """Create, replace, patch, end, kill switch, halt, resume and time, in any order, against the core and over HTTP.

    The revision grows by one with each change and never otherwise, the audit has one entry for each, no fault outlives
    its end, and requests meet exactly the faults that are active, also when time alone has ended or started them.
    """
    many = settings(max_examples=examples, stateful_step_count=20, deadline=None, derandomize=True)
    run_state_machine_as_test(lambda: Model(make), settings=many)  # type: ignore[arg-type]  # calls it, no more
