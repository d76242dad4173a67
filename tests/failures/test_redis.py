"""Redis fails in every way there is: users are served, faults end on time, and no change is lost, doubled or half done.

Every test begins with a fault that fails all requests, and ends with `world.holds()`, which says what must be true.
"""

import time
from datetime import datetime

import pytest

from tests.failures import troubles
from tests.failures.networks import CUTS
from tests.failures.world import World

pytestmark = pytest.mark.slow

FAULT = 2.5
"""Duration in seconds of each test's fault."""


def healed(what: str, seconds: float) -> None:
    """Print the recovery time; benchmarks/healing.py measures it."""
    print(f"{what}: the replicas agreed {seconds:.2f} s after it was over")  # noqa: T201 - shown with `pytest -s`


@pytest.mark.parametrize("how", troubles.AWAY)
def test_without_the_store_only_changes_are_refused(world: World, how: str) -> None:
    """Redis is killed, frozen, or out of memory."""
    fault = world.inject(FAULT)
    with troubles.AWAY[how](world):
        reasons = world.refuse(world.sites)
        if how == "full":
            assert all("maxmemory" in reason for reason in reasons)
        world.over(fault)
    healed(how, world.holds())


@pytest.mark.parametrize("how", CUTS)
def test_a_partitioned_replica_continues_alone(world: World, no_networks: str, how: str) -> None:
    """The others accept changes; it refuses them, ends its fault on time, and catches up."""
    if no_networks:
        pytest.skip(no_networks)
    fault = world.inject(FAULT)
    alone, *others = world.sites
    with troubles.cut(how)(world):
        world.refuse([alone], deaf=how == "one way")
        assert all(world.put(site).is_success for site in others)
        assert alone.revision < world.ledger.revision
        world.over(fault)
    healed(f"cut off, {how}", world.holds())


def test_a_redis_that_comes_back_empty_ends_all_faults(world: World) -> None:
    """Lost changes are unknown; the audit is restored from the replicas' caches."""
    fault = world.inject(60)
    with troubles.emptied(world):
        world.refuse(world.sites[:1])
        back = time.time()
    revision = world.ledger.revision + 1
    took = world.converge(revision)
    fault.end(back, latest=time.time())
    healed("emptied", took + world.holds(revision))
    (entry,) = [each for each in world.sites[0].read("/admin/audit")["entries"] if each["actor"] == "store"]
    assert entry["revision"] > revision
    assert (entry["action"], entry["reason"]) == ("end_all", "the store had lost changes")


def test_changes_without_announcements_are_found(world: World) -> None:
    """Subscribers are disconnected repeatedly while changes are made."""
    fault = world.inject(FAULT)
    with troubles.deafened(world):
        for number in range(12):
            assert world.put(world.sites[number % len(world.sites)]).is_success
    world.over(fault)
    healed("messages lost", world.holds())


def test_a_restarted_replica_injects_the_live_fault(world: World) -> None:
    """From its first request on; its later changes reach all replicas."""
    fault = world.inject(60)
    with troubles.replica_killed(world):
        assert world.put(world.sites[0]).is_success
    took = world.converge(world.ledger.revision)
    victim = world.sites[1]
    with victim.inside():
        answers = [victim.client.get(f"{victim.planes.users}/api/products") for _ in range(5)]
    assert [answer.headers.get("x-chaos-fault") for answer in answers] == [fault.name] * 5
    shorter = {"effect": {"type": "error"}, "name": fault.name, "schedule": {"duration": FAULT}}
    fault.end(datetime.fromisoformat(world.put(victim, shorter).json()["ends_at"]).timestamp())
    world.over(fault)
    healed("a replica killed", took + world.holds())


def test_clocks_half_a_minute_apart_make_no_difference(world: World) -> None:
    """The clocks do differ; every other test checks that faults end at the same time."""
    fault = world.inject(FAULT)
    shown = [site.read("/admin/replicas")["replicas"] for site in world.sites]
    started = {each["pid"]: datetime.fromisoformat(each["started"]).timestamp() for each in shown[0]}
    for site in world.sites:
        begun, ready = (at + site.clock_off for at in site.starting)
        assert begun < started[site.planes.process.pid] < ready
    assert [[each["id"] for each in replicas] for replicas in shown] == [[each["id"] for each in shown[0]]] * 3
    world.over(fault)
    world.holds()
