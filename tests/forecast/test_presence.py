"""Where faults with conditions and named replicas act, now and in the past; and what forecasts make of it."""

from typing import Any

import pytest

from chaosapi.faults.fault import Fault, Record
from chaosapi.forecast import timetable
from chaosapi.forecast.presence import Place, acted, presence
from chaosapi.forecast.result import Forecast
from chaosapi.world.changes import WorldChange, differences
from chaosapi.world.world import World
from tests.forecast.conftest import Ask

ERROR: dict[str, Any] = {"name": "f", "effect": {"type": "error"}, "rate": 0.2, "schedule": {"duration": "3m"}}
RETRIES = {"settings": {"shop_retries": {"above": 0}}}
THREE = ("shop-1", "shop-2", "shop-3")
NO_RETRIES = {"settings": {"shop_retries": 0}}


def place(document: dict[str, Any] | None = None, replicas: tuple[str, ...] = THREE) -> Place:
    """Return a place with this world."""
    return Place(World.model_validate(document or {}), replicas)


def fires(found: Forecast) -> bool:
    return any(alert.fires for alert in found.alerts)


def test_a_fault_whose_condition_does_not_hold_fires_nothing_and_says_when_it_acts(ask: Ask) -> None:
    """If it holds, the forecast is that of the fault without it, and says that nobody is expected to act."""
    idle = timetable.predict(ask({**ERROR, "while": RETRIES}, place=place(NO_RETRIES)))
    assert not fires(idle)
    assert {budget.bad for budget in idle.budgets} == {0.0}
    assert idle.not_modelled == ["f: acts on no request now: shop_retries is 0, not above 0"]
    acting = timetable.predict(ask({**ERROR, "while": RETRIES}, place=place()))
    assert fires(acting)
    assert acting.alerts == timetable.predict(ask(ERROR)).alerts
    assert "f: nobody changes the world, so its condition goes on to hold" in acting.assumptions.others


@pytest.mark.parametrize(
    ("fault", "world", "rate"),
    [
        ({"target": {"replicas": ["shop-2"]}}, {}, 0.2 / 3),
        ({"target": {"replicas": ["shop-2", "shop-3"]}}, {"rotation": {"shop-3": "drained"}}, 0.1),
        ({"while": {"release": "2.4.1"}}, {"release": {"by_replica": {"shop-1": "2.4.1"}}}, 0.2 / 3),
        ({"while": {"in_rotation": True}}, {"rotation": {"shop-3": "drained"}}, 0.2),
        ({"while": {"in_rotation": False}}, {"rotation": {"shop-3": "drained"}}, 0.0),
        ({"target": {"replicas": ["shop-9"]}}, {}, 0.0),
    ],
)
def test_the_rate_is_that_of_the_replicas_in_rotation(fault: dict[str, Any], world: Any, rate: float) -> None:
    """They get equal parts of the requests; drained ones get none."""
    found = presence(Fault.model_validate({**ERROR, **fault}), place(world))
    assert found.fault.rate == pytest.approx(rate)
    assert bool(found.idle) == (rate == 0)


def test_workers_count_as_often_as_there_are_of_them() -> None:
    """They share the name of their replica."""
    fault = Fault.model_validate({**ERROR, "target": {"replicas": ["shop-1"]}})
    assert presence(fault, place(replicas=("shop-1", "shop-1", "shop-1", "shop-2"))).fault.rate == pytest.approx(0.15)


def test_a_service_that_does_not_answer_is_assumed_to_let_the_fault_act() -> None:
    """The assumption is named."""
    found = presence(Fault.model_validate({**ERROR, "while": RETRIES}), None)
    assert (found.fault.rate, found.idle) == (0.2, "")
    assert "the service did not answer" in found.assumptions[0]


def history(*steps: tuple[float, dict[str, Any]]) -> Place:
    """Return the place after these worlds, each of which began at a time."""
    worlds = [(0.0, World()), *((at, World.model_validate(document)) for at, document in steps)]
    changes = [
        WorldChange(revision=place + 1, at=at, actor="ann", fields=differences(worlds[place][1], world))
        for place, (at, world) in enumerate(worlds[1:])
    ]
    return Place(worlds[-1][1], THREE, changes[::-1])


def record(condition: dict[str, Any] | None = None, **target: Any) -> Record:
    """Return a fault that was live from 100 to 280."""
    spec = Fault.model_validate({**ERROR, "while": condition, "target": target})
    return Record(name="f", spec=spec, created_at=100.0, revision=1)


@pytest.mark.parametrize(
    ("past", "start", "end", "rate", "left_out"),
    [
        (history(), 100, 280, 0.2, ""),
        (history((50, NO_RETRIES), (90, {})), 100, 280, 0.2, ""),
        (history((150, NO_RETRIES)), 100, 150, 0.2, ""),
        (history((50, NO_RETRIES), (150, {})), 150, 280, 0.2, ""),
        (history((120, {"flags": {"bulk-export": True}}), (300, NO_RETRIES)), 100, 280, 0.2, ""),
        (history((150, NO_RETRIES), (200, {})), 100, 150, 0.2, "acted again"),
        (history((50, NO_RETRIES)), 100, 280, 0.0, "never acted: shop_retries is 0"),
        (history((50, {**NO_RETRIES, "rotation": {"shop-1": "drained"}}), (150, {})), 150, 280, 0.2, ""),
    ],
)
def test_a_fault_acted_from_when_its_condition_held_until_it_held_no_longer(
    past: Place, start: float, end: float, rate: float, left_out: str
) -> None:
    """So an action that ended it ends it in the score as well; what cannot be replayed is said."""
    found, words = acted(record(RETRIES), past)
    assert (found.starts_at, found.ends_at, found.spec.rate) == (start, end, rate)
    assert left_out in " ".join(words)
    assert bool(words) == bool(left_out)


def test_a_drained_replica_takes_its_part_of_the_fault_along() -> None:
    """The first part is replayed: a third of the requests, until the replica was drained."""
    found, words = acted(record(replicas=["shop-2"]), history((150, {"rotation": {"shop-2": "drained"}})))
    assert (found.starts_at, found.ends_at) == (100, 150)
    assert found.spec.rate == pytest.approx(0.2 / 3)
    assert words == []
    assert acted(record(), history((150, NO_RETRIES)))[0] == record()
