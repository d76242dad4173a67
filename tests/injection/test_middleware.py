"""The fault middleware around a tiny app, with a fake clock: an hour's delay passes at once."""

import asyncio

import pytest

from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.injection.disconnect import DisconnectWatcher
from tests.conftest import Clock
from tests.garbage import alive, collection_off
from tests.tiny_app import World, constant, near


@pytest.fixture
def world(clock: Clock) -> World:
    """Return a world without faults."""
    return World(clock)


def test_without_faults_the_app_answers(world: World) -> None:
    """The response is unchanged."""
    assert asyncio.run(world.get()) == (200, 0)


def test_an_added_delay_comes_before_the_app(world: World) -> None:
    """The receipt has the planned and the measured delay."""
    world.work = 2.0
    world.inject("slow", constant(3600))
    assert asyncio.run(world.get()) == (200, 3602)
    assert world.delay("slow") == {"planned": near(3600), "measured": near(3600)}


def test_a_floor_includes_the_time_of_the_handler(world: World) -> None:
    """A handler slower than the floor is not delayed further."""
    world.inject("floor", constant(5, "floor"))
    world.work = 2.0
    assert asyncio.run(world.get()) == (200, 5)
    world.work = 7.0
    assert asyncio.run(world.get()) == (200, 7)


def test_delays_add_up_and_floors_do_not(world: World) -> None:
    """Two added delays and a floor above their sum: the floor; below it: the sum."""
    world.inject("one", constant(1))
    world.inject("two", constant(2))
    world.inject("floor", constant(2.5, "floor"))
    assert asyncio.run(world.get()) == (200, 3)
    world.inject("high", constant(4, "floor"))
    assert asyncio.run(world.get()) == (200, 4)


def test_delays_act_before_the_oldest_error_and_pre_empted_faults_are_skipped(world: World) -> None:
    """One request and three faults: the response is a delayed 500; the 503 is pre-empted."""
    world.inject("first", {"type": "error", "status": 500})
    world.clock.now += 1
    world.inject("second", {"type": "error", "status": 503})
    world.inject("slow", constant(2))
    assert asyncio.run(world.get()) == (500, 2)
    assert world.calls == 0
    assert (world.receipt("first")["injected"], world.receipt("second")["injected"]) == (1, 0)
    assert (world.receipt("second")["matched"], world.receipt("second")["skipped"]) == (1, 1)


def test_an_error_after_the_handler_lets_the_handler_run(world: World) -> None:
    """The order is stored, the customer gets a 500."""
    world.inject("late", {"type": "error", "status": 500, "when": "after"})
    assert asyncio.run(world.get()) == (500, 0)
    assert world.calls == 1


def test_a_magnitude_ramp_scales_the_delay_of_every_request(world: World) -> None:
    """Halfway up the ramp, every request waits half as long."""
    shape = {"type": "ramp", "up": "1h", "scales": "magnitude"}
    world.inject("creep", constant(10), schedule={"duration": "2h", "shape": shape})
    world.clock.now += 1800
    assert asyncio.run(world.get()) == (200, 5)


def test_methods_headers_and_sticky_keys_select_the_requests(world: World) -> None:
    """A request outside the target is not counted as matched."""
    world.inject(
        "some",
        {"type": "error"},
        rate=0.5,
        target={"methods": ["POST"], "headers": {"x-tenant": "acme"}, "sticky_by": "x-user-id"},
    )

    async def story() -> None:
        assert await world.get() == (200, 0)
        assert await world.get(method="POST", x_tenant="other") == (200, 0)
        assert world.receipt("some")["matched"] == 0
        for user in map(str, range(40)):
            answers = {await world.get(f"r-{n}", "POST", x_tenant="acme", x_user_id=user) for n in range(5)}
            assert len(answers) == 1
        assert 0 < world.receipt("some")["injected"] < 200
        assert world.receipt("some")["matched"] == 200

    asyncio.run(story())


def test_raising_the_rate_keeps_the_requests_that_were_hit(world: World) -> None:
    """The rate is patched while the fault acts."""

    async def hit() -> set[int]:
        return {number for number in range(2000) if (await world.get(f"r-{number}"))[0] == 503}

    world.inject("f", {"type": "error"}, rate=0.05)
    before = asyncio.run(hit())
    world.change(changes.patch("f", {"rate": 0.1}, Fault.model_validate, world.clock.now))
    after = asyncio.run(hit())
    assert before < after
    assert world.receipt("f")["requested_rate"] == pytest.approx(0.075)
    assert world.receipt("f")["matched"] == 4000


def test_a_fault_ends_by_itself(world: World) -> None:
    """The engine drops it from the hot path."""
    world.inject("short", {"type": "error"}, schedule={"duration": 60})
    world.clock.now += 59.9
    assert asyncio.run(world.get()) == (503, 0)
    world.clock.now += 0.1
    assert asyncio.run(world.get()) == (200, 0)
    assert world.engine.by_route == {}


def test_no_request_is_held_past_the_faults_end(world: World) -> None:
    """A delay that would outlast its fault is cut; the receipt has the measured delay."""
    world.inject("slow", constant(50), schedule={"duration": 60})
    world.clock.now += 40
    assert asyncio.run(world.get()) == (200, 20)
    assert world.delay("slow") == {"planned": near(50), "measured": near(20)}


def test_ending_a_fault_releases_the_held_requests(world: World) -> None:
    """The kill switch does not wait for delays."""
    world.inject("slow", constant(1000))

    async def kill() -> None:
        world.clock.now += 3
        world.change(changes.end_all(world.clock.now))

    world.on_hold = kill
    assert asyncio.run(world.get()) == (200, 3)
    assert world.faults.held == 0


def test_beyond_max_held_injections_are_skipped_and_counted(clock: Clock) -> None:
    """Two requests are held, the third passes at once."""
    world = World(clock, max_held=2)
    world.inject("slow", constant(10))
    inside: list[tuple[int | None, float]] = []

    async def nested() -> None:
        if world.faults.held < 2:
            inside.append(await world.get("second"))
        else:
            world.on_hold = None
            inside.append(await world.get("third"))

    world.on_hold = nested
    asyncio.run(world.get("first"))
    assert (200, 0) in inside
    assert world.receipt("slow")["skipped"] == 1
    assert world.receipt("slow")["injected"] == 2


def test_a_held_request_leaves_nothing_to_the_garbage_collector(world: World) -> None:
    """The task that waited for the client's disconnect was cancelled: its traceback must not keep the request."""
    world.inject("slow", constant(3))
    with collection_off():
        asyncio.run(world.get())
        assert alive(DisconnectWatcher) == 0
