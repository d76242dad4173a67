"""The world in each real store: shared like the faults, under the same revisions, and kept when faults end."""

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.faults.changes import Change
from chaosapi.faults.state import Halt, State
from chaosapi.store import store_from_url
from chaosapi.world.changes import WorldChange
from chaosapi.world.world import World
from tests.patience import patience
from tests.store.conftest import Open, RedisServer, Seen, a_fault, an_entry, started, until


def patch(document: dict[str, Any]) -> Change:
    """Return a change of the world."""
    about = WorldChange(revision=0, at=1.0, actor="me")
    return changes.change_world(document, World(), World.model_validate, about)


def fields(state: State) -> list[tuple[int, list[str]]]:
    """Return the changed fields of each change in the feed, with its revision."""
    return [(change.revision, [field.field for field in change.fields]) for change in state.world_changes]


def test_every_replica_has_the_same_world_and_the_same_feed(open_one: Open) -> None:
    """After changes of faults and of the world by any of them; the audit has the fields."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        mine = Seen(here)
        theirs = Seen(there)
        async with started(here, there):
            await here.apply(patch({"settings": {"queue_timeout": "1.5ms"}}), an_entry("world"))
            await there.apply(changes.create(a_fault(), there.now()), an_entry())
            await there.apply(patch({"rotation": {"shop-1": "drained"}}), an_entry("world"))
            await here.apply(patch({"settings": None}), an_entry("world"))
            for seen in (mine, theirs):
                await seen.reach(4)
            assert mine.state == theirs.state
            assert mine.state.world.text == theirs.state.world.text == '{"rotation":{"shop-1":"drained"}}'
            assert fields(mine.state) == [
                (4, ["settings.queue_timeout"]),
                (3, ["rotation.shop-1"]),
                (1, ["settings.queue_timeout"]),
            ]
            entries = await there.audit(10)
            assert [[field.field for field in entry.fields] for entry in entries] == [
                ["settings.queue_timeout"],
                ["rotation.shop-1"],
                [],
                ["settings.queue_timeout"],
            ]

    asyncio.run(scenario())


def test_all_concurrent_changes_of_the_world_are_made(open_one: Open) -> None:
    """Each replica changes fields of its own, while the other one does."""

    async def scenario() -> None:
        stores = [open_one(), open_one()]
        seen = Seen(stores[0])
        async with started(*stores):
            await asyncio.gather(
                *(
                    store.apply(patch({"rotation": {f"replica-{place}-{number}": "drained"}}), an_entry("world"))
                    for number in range(10)
                    for place, store in enumerate(stores)
                )
            )
            await seen.reach(20)
            assert len(seen.state.world.rotation) == len(seen.state.world_changes) == 20

    asyncio.run(scenario())


def test_the_world_survives_the_kill_switch_a_reset_and_a_restart(open_shared: Open) -> None:
    """Faults end; what operators have set stays."""

    async def scenario() -> None:
        store = open_shared()
        async with started(store):
            await store.apply(patch({"shed": {"browse": 0.5}}), an_entry("world"))
            await store.apply(changes.create(a_fault(), store.now()), an_entry())
            await store.apply(changes.halt("enough", store.now()), an_entry("halt"))
            state = await store.reset(an_entry("halt"), Halt(since=1.0, reason="drill"))
            assert (state.faults, state.world.shed) == ((), {"browse": 0.5})
        later = open_shared()
        seen = Seen(later)
        async with started(later):
            assert seen.state.world.shed == {"browse": 0.5}
            assert fields(seen.state) == [(1, ["shed.browse"])]

    asyncio.run(scenario())


def test_a_change_of_the_world_while_redis_is_away_is_refused(redis_server: Callable[..., RedisServer]) -> None:
    """Nothing of it is made later, on any replica; a Redis that comes back empty gets the world of its replicas."""

    async def scenario() -> None:
        server = redis_server()
        here = store_from_url(server.url)
        there = store_from_url(server.url)
        mine = Seen(here)
        theirs = Seen(there)
        async with started(here, there):
            await here.apply(patch({"flags": {"bulk-export": True}}), an_entry("world"))
            await theirs.reach(1)
            server.kill()
            async with asyncio.timeout(patience(10)):
                with pytest.raises(StoreUnavailable):
                    await here.apply(patch({"providers": {"payments": "bolt"}}), an_entry("world"))
            server.start()
            await until(lambda: here.up and there.up and min(mine.revision, theirs.revision) > 1, "both are back")
            healed = (await there.apply(patch({"settings": {"queue": 7}}), an_entry("world"))).after
            await mine.reach(healed.revision)
            for state in (mine.state, theirs.state):
                assert state.world.text == '{"flags":{"bulk-export":true},"settings":{"queue":7}}'
                assert [names for _, names in fields(state)] == [["settings.queue"], ["flags.bulk-export"]]

    asyncio.run(scenario())


def test_an_older_copy_of_the_file_does_not_bring_an_older_world_back(tmp_path: Path) -> None:
    """The running replica knows the later one."""
    file = tmp_path / "faults.db"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{file}")
        seen = Seen(store)
        async with started(store):
            await store.apply(patch({"flags": {"new-pricing": True}}), an_entry("world"))
            with sqlite3.connect(file) as db:
                (older,) = db.execute("SELECT state FROM state").fetchone()
            db.close()
            await store.apply(patch({"flags": {"new-pricing": False}}), an_entry("world"))
            with sqlite3.connect(file) as db:
                db.execute("UPDATE state SET revision = 1, state = ?", (older,))
            db.close()
            await seen.reach(3)
            assert seen.state.world.over(World()).flags["new-pricing"] is False
            assert [revision for revision, _ in fields(seen.state)] == [2, 1]

    asyncio.run(scenario())
