"""Conditions and named replicas on shared stores: three replicas decide alike, and as a small model does."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from chaosapi import scope as keys
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Fault, Record
from chaosapi.faults.receipt import SPARED
from chaosapi.faults.state import State
from chaosapi.injection.engine import Engine
from chaosapi.store import Store
from chaosapi.store.memory import MemoryStore
from tests.conftest import Clock
from tests.injection.test_conditions import RETRIES, patch
from tests.store.conftest import Open, an_entry, started, until
from tests.tiny_app import ROUTES

REPLICAS = ("shop-1", "shop-2", "shop-3")


class Replica:
    """An engine that follows a store."""

    def __init__(self, name: str, store: Store, clock: Clock) -> None:
        self.name = name
        self.store = store
        self.engine = Engine(ROUTES, clock, replica=name)
        store.subscribe(self.engine.load)

    def hits(self, key: str) -> set[str]:
        """Return the faults that hit the request with this id."""
        scope = {"type": "http", "method": "GET", "path": "/a", "headers": [], keys.HANDLER: "/a"}
        return {hit.fault.compiled.record.name for hit in self.engine.roll(scope, "/a", key)}


@asynccontextmanager
async def three(open_one: Open, clock: Clock) -> AsyncIterator[Any]:
    """Give three replicas on one store, and a function that makes a change and waits until all have loaded it."""
    replicas = [Replica(name, open_one(), clock) for name in REPLICAS]

    async def make(change: Change) -> State:
        after = (await replicas[0].store.apply(change, an_entry())).after
        await until(
            lambda: all(replica.engine.state.revision >= after.revision for replica in replicas), "the revision"
        )
        return after

    async with started(*(replica.store for replica in replicas)):
        yield replicas, make


ACTIONS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "roll back": ({"release": {"running": "2.4.0"}}, {"release": "2.4.1"}),
    "flag": ({"flags": {"new-pricing": False}}, {"flags": {"new-pricing": True}}),
    "retries": ({"settings": {"shop_retries": 0}}, RETRIES),
    "time-out": ({"settings": {"shop_timeout": "200ms"}}, {"settings": {"shop_timeout": {"at_least": "500ms"}}}),
    "breaker": ({"settings": {"shop_breaker": True}}, {"settings": {"shop_breaker": False}}),
    "concurrency": ({"settings": {"concurrency": 50}}, {"settings": {"concurrency": 0}}),
    "queue": ({"settings": {"queue": 5}}, {"settings": {"queue": {"above": 10}}}),
    "queue time-out": ({"settings": {"queue_timeout": "1s"}}, {"settings": {"queue_timeout": {"above": "1s"}}}),
    "search": ({"settings": {"search": "cached"}}, {"settings": {"search": "live"}}),
    "fail over": ({"providers": {"payments": "bolt"}}, {"providers": {"payments": "acme"}}),
    "block": (
        {"limits": [{"header": "x-tenant", "value": "acme", "requests_per_second": 0}]},
        {"limits": {"x-tenant=acme": {"above": 10}}},
    ),
    "shed": ({"shed": {"browse": 0.5}}, {"shed": {"browse": {"below": 0.2}}}),
    "quarantine": ({"quarantine": ["p-0042"]}, {"quarantine": {"p-0042": False}}),
}
"""For each action the change of the world, and a condition that it ends."""
BEFORE: dict[str, Any] = {
    "release": {"running": "2.4.1"},
    "flags": {"new-pricing": True},
    "settings": {"shop_breaker": False},
}


def test_each_action_ends_its_own_fault_on_three_replicas_in_one_revision(open_one: Open, clock: Clock) -> None:
    """And none of the others."""

    async def story() -> None:
        async with three(open_one, clock) as (replicas, make):
            await make(patch(BEFORE))
            for place, (_, condition) in enumerate(ACTIONS.values()):
                fault = {"name": f"f-{place}", "effect": {"type": "error"}, "while": condition}
                await make(changes.create(Fault.model_validate(fault), clock()))
            left = {f"f-{place}" for place in range(len(ACTIONS))}
            for place, (action, (document, _)) in enumerate(ACTIONS.items()):
                assert [replica.hits("r") for replica in replicas] == [left] * 3
                before = replicas[0].engine.state.revision
                after = await make(patch(document))
                left -= {f"f-{place}"}
                assert after.revision == before + 1, action
                assert [replica.hits("r") for replica in replicas] == [left] * 3, action

    asyncio.run(story())


def test_draining_and_rolling_back_one_replica_end_the_fault_there_alone(open_one: Open, clock: Clock) -> None:
    """On the others it goes on; restored, the replica has the fault again."""

    async def story() -> None:
        async with three(open_one, clock) as (replicas, make):
            await make(patch({"release": {"running": "2.4.1"}}))
            for name, condition in (("drain", {"in_rotation": True}), ("release", {"release": "2.4.1"})):
                fault = {"name": name, "effect": {"type": "error"}, "while": condition}
                await make(changes.create(Fault.model_validate(fault), clock()))
            await make(patch({"rotation": {"shop-2": "drained"}, "release": {"by_replica": {"shop-3": "2.4.0"}}}))
            both = {"drain", "release"}
            assert [replica.hits("r") for replica in replicas] == [both, {"release"}, {"drain"}]
            await make(patch({"rotation": {"shop-2": None}}))
            assert [replica.hits("r") for replica in replicas] == [both, both, {"drain"}]

    asyncio.run(story())


def test_a_fault_on_named_replicas_does_not_match_elsewhere(open_one: Open, clock: Clock) -> None:
    """Also after a patch of the names, and where nobody has the name."""

    async def story() -> None:
        async with three(open_one, clock) as (replicas, make):
            fault = {"name": "f", "effect": {"type": "error"}, "target": {"replicas": ["shop-2", "shop-9"]}}
            await make(changes.create(Fault.model_validate(fault), clock()))
            assert [replica.hits("r") for replica in replicas] == [set(), {"f"}, set()]
            document = {"target": {"replicas": ["shop-1"]}}
            after = await make(changes.patch("f", document, Fault.model_validate, clock()))
            assert [replica.hits("r") for replica in replicas] == [{"f"}, set(), set()]
            counts = [replica.engine.counts_of(after.find("f")).matched for replica in replicas]
            assert counts == [1, 1, 0]

    asyncio.run(story())


CONDITIONS: dict[str, Any] = {
    "always": None,
    "retries": RETRIES,
    "flag": {"flags": {"new-pricing": True}},
    "release": {"release": "2.4.1"},
    "rotation": {"in_rotation": True},
    "both": {"flags": {"new-pricing": True}, "in_rotation": True},
}


class Model:
    """What faults and worlds mean, in the simplest words."""

    def __init__(self) -> None:
        self.faults: dict[str, tuple[str, list[str] | None, Record]] = {}
        self.retries = 2
        self.flag = False
        self.release = "1.0.0"
        self.canary: str | None = None
        self.drained = False

    def holds(self, condition: str, replica: str) -> bool:
        """Return whether the condition holds; `shop-2` is the replica that is drained and gets the canary."""
        release = self.canary if self.canary and replica == "shop-2" else self.release
        in_rotation = not (self.drained and replica == "shop-2")
        return {
            "always": True,
            "retries": self.retries > 0,
            "flag": self.flag,
            "release": release == "2.4.1",
            "rotation": in_rotation,
            "both": self.flag and in_rotation,
        }[condition]

    def decide(self, key: str, replica: str) -> tuple[set[str], set[str]]:
        """Return the faults that hit a request, and those whose conditions spared it."""
        meant = {
            name: condition
            for name, (condition, replicas, record) in self.faults.items()
            if (replicas is None or replica in replicas) and record.dice.hit(key) < record.spec.rate
        }
        hit = {name for name, condition in meant.items() if self.holds(condition, replica)}
        return hit, set(meant) - hit


NAMES = ("a", "b", "c")
STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("create"),
            st.sampled_from(NAMES),
            st.sampled_from(sorted(CONDITIONS)),
            st.sampled_from([None, ["shop-1"], ["shop-2", "shop-9"], list(REPLICAS)]),
            st.sampled_from([0.4, 1.0]),
        ),
        st.tuples(st.just("end"), st.sampled_from(NAMES)),
        st.tuples(st.just("retries"), st.sampled_from([0, 2])),
        st.tuples(st.just("flag"), st.booleans()),
        st.tuples(st.just("release"), st.sampled_from(["1.0.0", "2.4.1"])),
        st.tuples(st.just("canary"), st.sampled_from([None, "1.0.0", "2.4.1"])),
        st.tuples(st.just("drained"), st.booleans()),
    ),
    max_size=12,
)


def change_of(model: Model, step: tuple[Any, ...], clock: Clock) -> Change | None:
    """Make the step in the model; return it as a change of the state."""
    kind, value, *rest = step
    if kind == "create":
        condition, replicas, rate = rest
        document = {"name": value, "effect": {"type": "error"}, "rate": rate, "target": {"replicas": replicas}}
        spec = Fault.model_validate({**document, "while": CONDITIONS[condition]})
        clock.now += 1
        if value not in model.faults or model.faults[value][2].spec != spec:  # else the same fault goes on
            record = Record(name=value, spec=spec, created_at=clock.now, revision=1)
            model.faults[value] = condition, replicas, record
        return changes.replace(spec, clock.now)
    if kind == "end":
        return changes.end(value, clock.now) if model.faults.pop(value, None) else None
    setattr(model, kind, value)
    return patch(
        {
            "settings": {"shop_retries": model.retries},
            "flags": {"new-pricing": model.flag},
            "release": {"running": model.release, "by_replica": {"shop-2": model.canary}},
            "rotation": {"shop-2": "drained" if model.drained else None},
        }
    )


async def check_against_model(replicas: list[Replica], steps: list[tuple[Any, ...]], make: Any, clock: Clock) -> None:
    """Make all steps; after each, the decisions of all replicas, and the counts in the end, are those of the model."""
    model = Model()
    spared: dict[tuple[str, str, float], int] = {}
    for step in steps:
        change = change_of(model, step, clock)
        if change:
            await make(change)
        for replica in replicas:
            for number in range(3):
                key = f"r-{number}"
                hit, let_off = model.decide(key, replica.name)
                assert replica.hits(key) == hit, (step, replica.name, key)
                for name in let_off:
                    of = (replica.name, *model.faults[name][2].identity)
                    spared[of] = spared.get(of, 0) + 1
    for replica in replicas:
        for fault in replica.engine.active_faults():
            of = (replica.name, *fault.compiled.record.identity)
            assert fault.counts.skipped[SPARED] == spared.get(of, 0)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(STEPS)
def test_any_sequence_of_faults_and_worlds_decides_as_a_model_does(steps: list[tuple[Any, ...]]) -> None:
    """In memory: one store per process, so two engines follow the same one."""

    async def story() -> None:
        clock = Clock()
        store = MemoryStore(clock)
        replicas = [Replica(name, store, clock) for name in REPLICAS[:2]]

        async def make(change: Change) -> None:
            await store.apply(change, an_entry())

        await check_against_model(replicas, steps, make, clock)

    asyncio.run(story())


def sequences() -> Iterator[list[tuple[Any, ...]]]:
    """Return long sequences with every kind of step."""
    for seed in range(3):
        yield [
            ("create", "a", "retries", None, 1.0),
            ("create", "b", "release", ["shop-2", "shop-9"], 1.0),
            ("release", "2.4.1"),
            ("retries", 0),
            ("create", "c", "both", None, 0.4),
            ("flag", True),
            ("drained", seed != 1),
            ("canary", "1.0.0" if seed else None),
            ("retries", 2),
            ("end", "abc"[seed]),
            ("flag", False),
            ("drained", False),
        ]


def test_a_shared_store_decides_as_the_model_does(open_one: Open, clock: Clock) -> None:
    """Three replicas, each step loaded by all."""

    async def story() -> None:
        async with three(open_one, clock) as (replicas, make):
            for steps in sequences():
                await make(changes.end_all(clock()))
                await make(patch({"settings": None, "flags": None, "release": None, "rotation": None}))
                clock.now += 10
                await check_against_model(replicas, steps, make, clock)

    asyncio.run(story())
