"""The engine: the faults of a replica as changes arrive and faults end."""

from collections import Counter
from collections.abc import Callable

import pytest

from chaosapi.faults import dice
from chaosapi.faults import schedule as schedules
from chaosapi.faults.fault import Fault, Record
from chaosapi.faults.state import State
from chaosapi.injection.engine import Engine
from chaosapi.routes import Route
from chaosapi.routing import RouteTable
from tests.conftest import Clock

TEMPLATES = ("/a", "/b", "/c/{id}")
ROUTES = RouteTable.of(Route(each) for each in TEMPLATES)
SCOPE = {"type": "http", "method": "GET", "headers": []}


def record(clock: Clock, name: str, duration: str, **target: object) -> Record:
    """Return a fault that starts now and hits every matching request."""
    fault = {"name": name, "effect": {"type": "error"}, "target": target, "schedule": {"duration": duration}}
    return Record(name=name, spec=Fault.model_validate(fault), created_at=clock.now, revision=1)


def hits(engine: Engine, template: str = "/a") -> list[str]:
    """Return the names of the faults that hit a request."""
    return [hit.fault.compiled.record.name for hit in engine.roll(SCOPE, template, "id")]


class Overtaken:
    """A lock that another thread acquires first, once, to make a change."""

    def __init__(self, change: Callable[[], None]) -> None:
        self._changes = [change]

    def __enter__(self) -> None:
        if self._changes:
            self._changes.pop()()

    def __exit__(self, *_: object) -> None:
        pass


def test_a_concurrent_change_is_not_lost_when_an_end_is_noticed(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control plane may run in another thread; the engine must not overwrite the state that it loaded."""
    engine = Engine(ROUTES, clock)
    short = record(clock, "short", "1s")
    engine.load(State(revision=1, faults=(short,)))
    assert hits(engine) == ["short"]
    clock.now += 2
    new = State(revision=2, faults=(record(clock, "new", "1h"), short))
    monkeypatch.setattr(engine, "_lock", Overtaken(lambda: engine.load(new)))
    assert hits(engine) == ["new"]
    assert engine.state.revision == 2


def test_a_fault_that_has_just_ended_here_can_still_be_prolonged(clock: Clock) -> None:
    """By a change that another replica accepted in time."""
    engine = Engine(ROUTES, clock)
    short = record(clock, "short", "1s")
    longer = short.model_copy(update={"spec": record(clock, "short", "1h").spec})
    engine.load(State(revision=1, faults=(short,)))
    clock.now += 2
    assert hits(engine) == []
    engine.load(State(revision=2, faults=(longer,)))
    assert hits(engine) == ["short"]


def test_only_changed_faults_are_recompiled(clock: Clock) -> None:
    """The runs of other faults are the same objects, and are dropped with their faults."""
    engine = Engine(ROUTES, clock)
    first = record(clock, "first", "1h")
    second = record(clock, "second", "1h")
    engine.load(State(revision=1, faults=(first,)))
    (kept,) = engine.active_faults()
    plan = kept.compiled
    engine.load(State(revision=2, faults=(second, first)))
    assert [fault.compiled.record.name for fault in engine.active_faults()] == hits(engine) == ["first", "second"]
    assert next(iter(engine.active_faults())).compiled is plan
    engine.load(State(revision=3, faults=(second,)))
    assert hits(engine) == ["second"]
    assert kept.remaining() == 0


def test_a_route_is_touched_while_a_fault_may_act_there(clock: Clock) -> None:
    """On its requests or on their calls to dependencies; a request of any other route skips the fault middleware."""
    engine = Engine(ROUTES, clock)
    requests = record(clock, "requests", "1m", routes=["/a"])
    calls = record(clock, "calls", "1h", routes=["/b"], points=["db"])
    engine.load(State(revision=1, faults=(requests, calls)))
    assert engine.touched == {"/a", "/b"}
    clock.now += 120
    assert hits(engine) == []  # the first request after its end notices it
    assert engine.touched == {"/b"}
    engine.load(State(revision=2))
    assert engine.touched == set()


def test_faults_are_looked_up_by_route(clock: Clock) -> None:
    """A fault on other routes is not evaluated; a fault at a point concerns only its routes."""
    engine = Engine(ROUTES, clock)
    glob = record(clock, "glob", "1h", routes=["/c/*"])
    point = record(clock, "p", "1h", routes=["/b"], points=["db"])
    engine.load(State(revision=1, faults=(point, glob)))
    assert set(engine.by_route) == {"/c/{id}"}
    assert engine.routes_with_points == {"/b"}
    clock.now += 7200
    assert [hits(engine, each) for each in TEMPLATES] == [[], [], []]
    assert (engine.by_route, engine.routes_with_points) == ({}, frozenset())


def test_bursts_are_drawn_once_for_all_faults(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    """No request and no patch draws them again, which would block the event loop."""
    drawn: Counter[tuple[int, str]] = Counter()

    def uniform(seed: int, key: str) -> float:
        drawn[seed, key] += 1
        return dice.uniform(seed, key)

    monkeypatch.setattr(schedules, "uniform", uniform)
    bursts = {"duration": "2h", "shape": {"type": "bursts", "on": "10s", "off": "20s"}}
    engine = Engine(ROUTES, clock)
    names = [f"f{number}" for number in range(300)]
    made = clock.now
    for revision, reason in enumerate(("made", "patched"), 1):
        body = {"reason": reason, "effect": {"type": "error"}, "schedule": bursts}
        specs = [Fault.model_validate({"name": name, **body}) for name in names]
        records = [Record(name=spec.name or "", spec=spec, created_at=made, revision=revision) for spec in specs]
        engine.load(State(revision=revision, faults=tuple(records)))
        for _ in range(2):
            clock.now += 600
            hits(engine)
    assert len(drawn) >= 300 * 80
    assert set(drawn.values()) == {1}


def test_the_strength_of_a_record_is_that_of_its_schedule(clock: Clock) -> None:
    """Whether the engine has loaded the fault or not: 0 before the start, and 0 after the end."""
    schedule = {"start_after": "10s", "duration": "100s", "shape": {"type": "ramp", "up": "20s"}}
    spec = Fault.model_validate({"effect": {"type": "error"}, "schedule": schedule})
    known = Record(name="known", spec=spec, created_at=clock.now, revision=1)
    others = [known.model_copy(update={"name": "other"}), known.ended(clock.now + 20)]
    engine = Engine(ROUTES, clock)
    engine.load(State(revision=1, faults=(known,)))
    found = []
    for _ in range(4):
        found.append([engine.strength_of(record) for record in (known, *others)])
        clock.now += 15
    assert found == [[0, 0, 0], [0.25, 0.25, 0], [1, 1, 0], [1, 1, 0]]
