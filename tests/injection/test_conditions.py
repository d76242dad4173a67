"""Faults with a condition, and on named replicas: what they hit, spare, hold and release."""

import asyncio
from typing import Any

import pytest

from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.fault import Fault
from chaosapi.world import changes as world_changes
from chaosapi.world.world import World as ShopWorld
from tests.conftest import Clock
from tests.tiny_app import Crowd, World, constant

BASE = ShopWorld()
RETRIES = {"settings": {"shop_retries": {"above": 0}}}


def patch(document: dict[str, Any]) -> Change:
    """Return a change of the world."""
    about = world_changes.WorldChange(revision=0, at=0.0, actor="ann")
    return changes.change_world(document, BASE, ShopWorld.model_validate, about)


def retries(count: int) -> Change:
    return patch({"settings": {"shop_retries": count}})


@pytest.fixture
def world(clock: Clock) -> World:
    """Return a world without faults."""
    return World(clock)


async def statuses(world: World, count: int = 200) -> list[int | None]:
    """Return the statuses of requests, which have the same ids in each call."""
    return [(await world.get(f"r-{number}"))[0] for number in range(count)]


def test_a_fault_acts_while_its_condition_holds_and_again_when_it_holds_again(world: World) -> None:
    """The same dice: the same requests fail as before."""
    world.inject("f", {"type": "error"}, rate=0.3, **{"while": RETRIES})
    first = asyncio.run(statuses(world))
    assert 30 < first.count(503) < 90
    world.change(retries(0))
    assert asyncio.run(statuses(world)) == [200] * 200
    world.change(retries(1))
    assert asyncio.run(statuses(world)) == first


def test_the_receipt_counts_exactly_those_whom_the_condition_spared(world: World) -> None:
    """They are the requests that a twin without a condition hits; none of them was requested or skipped."""
    world.change(retries(0))
    world.inject("f", {"type": "error"}, rate=0.3, **{"while": RETRIES})
    asyncio.run(statuses(world))
    receipt = world.receipt("f")
    assert (receipt["matched"], receipt["injected"], receipt["skipped"]) == (200, 0, 0)
    assert (receipt["requested_rate"], receipt["achieved_rate"]) == (0.0, 0.0)
    twin = World(Clock())
    twin.inject("f", {"type": "error"}, rate=0.3)
    asyncio.run(statuses(twin))
    assert receipt["spared"] == twin.receipt("f")["injected"] > 0


def test_a_condition_that_begins_to_hold_later_counts_the_requested_share_of_all(world: World) -> None:
    """Half of the requests come while it holds: half of the rate is requested, and half is achieved."""
    world.inject("f", {"type": "error"}, rate=1.0, **{"while": RETRIES})
    asyncio.run(statuses(world, 50))
    world.change(retries(0))
    asyncio.run(statuses(world, 50))
    receipt = world.receipt("f")
    assert (receipt["requested_rate"], receipt["achieved_rate"], receipt["spared"]) == (0.5, 0.5, 50)


def test_held_requests_are_released_when_the_condition_stops_to_hold(clock: Clock) -> None:
    """They are served at that moment, like those of an ended fault."""
    crowd = Crowd(clock)
    crowd.inject("f", constant(60), **{"while": RETRIES})
    crowd.at(10, lambda: crowd.change(retries(0)))
    answers = crowd.play(*(crowd.visit(0, f"r-{number}") for number in range(5)), crowd.visit(11))
    assert [(answer.status, answer.took) for answer in answers] == [(200, 10)] * 5 + [(200, 0)]


def test_the_queue_of_a_capacity_lets_go_and_fills_again(clock: Clock) -> None:
    """While the condition does not hold, everybody is served at once."""
    crowd = Crowd(clock)
    service = {"type": "constant", "value": "4s"}
    effect = {"type": "capacity", "concurrency": 1, "queue_timeout": "60s", "service_time": service}
    crowd.inject("f", effect, **{"while": RETRIES})
    crowd.at(6, lambda: crowd.change(retries(0)))
    crowd.at(20, lambda: crowd.change(retries(1)))
    early = [crowd.visit(0, f"r-{number}") for number in range(4)]
    between = [crowd.visit(10, f"s-{number}") for number in range(3)]
    late = [crowd.visit(30, f"t-{number}") for number in range(2)]
    took = [answer.took for answer in crowd.play(*early, *between, *late)]
    assert took == [4, 6, 6, 6, 0, 0, 0, 4, 8]


def test_a_request_that_was_hit_is_let_off_if_the_condition_stops_before_the_effect(clock: Clock) -> None:
    """The delay acts first; the error has not begun when the world changes."""
    crowd = Crowd(clock)
    crowd.inject("slow", constant(10))
    crowd.inject("f", {"type": "error"}, **{"while": RETRIES})
    crowd.at(5, lambda: crowd.change(retries(0)))
    (answer,) = crowd.play(crowd.visit(0))
    assert (answer.status, answer.took) == (200, 10)
    receipt = crowd.receipt("f")
    assert (receipt["injected"], receipt["skipped"], receipt["spared"]) == (0, 1, 0)


def test_a_patch_may_add_change_and_remove_a_condition(world: World) -> None:
    """Null removes it."""
    world.change(retries(0))
    world.inject("f", {"type": "error"})
    for condition, status in ((RETRIES, 200), ({"settings": {"shop_retries": {"above": None, "equal": 0}}}, 503)):
        world.change(changes.patch("f", {"while": condition}, Fault.model_validate, world.clock()))
        assert asyncio.run(world.get())[0] == status
    world.change(retries(5))
    assert asyncio.run(world.get())[0] == 200
    world.change(changes.patch("f", {"while": None}, Fault.model_validate, world.clock()))
    assert asyncio.run(world.get())[0] == 503
