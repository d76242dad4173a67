"""Redis is killed, paused, flushed, out of memory or cut off, or loses a message: the contract still holds."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.store import Replica, Store, store_from_url
from chaosapi.store.codec import write
from tests.patience import patience
from tests.store.conftest import RedisServer, Relay, Seen, a_fault, an_entry, started, until

Start = Callable[..., RedisServer]


async def refused(store: Store) -> None:
    """Make a change; check that it is refused as unavailable within a time limit."""
    async with asyncio.timeout(patience(10)):
        with pytest.raises(StoreUnavailable):
            await store.apply(changes.create(a_fault("refused"), store.now()), an_entry())


async def converged(*replicas: Seen, revision: int) -> None:
    """Wait until all replicas have the revision and the same state."""
    for seen in replicas:
        await seen.reach(revision)
    assert all(seen.state == replicas[0].state for seen in replicas)
    assert replicas[0].revision == revision


def test_a_killed_redis_that_kept_its_data(redis_server: Start) -> None:
    """Changes are refused while it is down; the snapshot and the audit stay, and nothing has changed after."""

    async def scenario() -> None:
        server = redis_server("--appendonly", "yes", "--appendfsync", "always")
        here = store_from_url(server.url)
        there = store_from_url(server.url)
        mine = Seen(here)
        theirs = Seen(there)
        async with started(here, there):
            made = (await here.apply(changes.create(a_fault(), here.now()), an_entry())).after
            await converged(mine, theirs, revision=1)
            server.kill()
            await refused(here)
            await until(lambda: not here.up and not there.up, "both know that it is away")
            assert mine.state == theirs.state == made
            assert [entry.action for entry in await there.audit(10)] == ["create"]
            server.start()
            await until(lambda: here.up and there.up, "both are back")
            await there.apply(changes.end_all(there.now()), an_entry("end_all"))
            await converged(mine, theirs, revision=2)
            assert [entry.action for entry in await here.audit(10)] == ["end_all", "create"]

    asyncio.run(scenario())


def test_a_redis_that_comes_back_empty(redis_server: Start) -> None:
    """All faults end on all replicas, the revision continues, and the audit is restored once."""

    async def scenario() -> None:
        server = redis_server()
        here = store_from_url(server.url)
        there = store_from_url(server.url)
        mine = Seen(here)
        theirs = Seen(there)
        async with started(here, there):
            await here.apply(changes.create(a_fault("a"), here.now()), an_entry())
            await there.apply(changes.create(a_fault("b"), there.now()), an_entry())
            await converged(mine, theirs, revision=2)
            server.kill()
            server.start()
            await mine.reach(3)
            healed = mine.revision
            assert healed > 1000, "it leaps over what nobody here may have heard of"
            await converged(mine, theirs, revision=healed)
            assert mine.state.live(here.now()) == []
            assert [record.name for record in mine.state.faults] == ["b", "a"]
            actions = [(entry.revision, entry.actor, entry.action) for entry in await here.audit(10)]
            assert actions == [(healed, "store", "end_all"), (2, "me", "create"), (1, "me", "create")]
            await here.apply(changes.create(a_fault("c"), here.now()), an_entry())
            await converged(mine, theirs, revision=healed + 1)

    asyncio.run(scenario())


def test_a_redis_that_lost_its_last_change_keeps_the_rest(redis_server: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a failover: the rest of its audit stays, also entries that no replica has cached."""
    monkeypatch.setattr("chaosapi.store.redis.local_view._CACHED_LINES", 2)

    async def scenario() -> None:
        server = redis_server()
        here = store_from_url(server.url)
        mine = Seen(here)
        async with started(here):
            for seed in range(6):
                await here.apply(changes.replace(a_fault("a", seed=seed), here.now()), an_entry("replace"))
            before = mine.states[-2]
            with redis.Redis.from_url(server.url) as lagging:
                stored = {"revision": before.revision, "state": write(before), "version": "behind"}
                lagging.hset("{chaosapi}:state", mapping=stored)
                lagging.lpop("{chaosapi}:audit")
            await mine.reach(7)
            entries = [(entry.revision, entry.action) for entry in await here.audit(10)]
            assert entries == [(mine.revision, "end_all"), *((revision, "replace") for revision in range(6, 0, -1))]

    asyncio.run(scenario())


def test_the_audit_cache_has_no_gap(redis_server: Start) -> None:
    """While Redis is down, whether entries were announced, read after a lost race, or read after lost messages."""

    async def scenario() -> None:
        server = redis_server()
        here = store_from_url(server.url)
        there = store_from_url(server.url)
        mine = Seen(here)
        theirs = Seen(there)
        admin = redis.Redis.from_url(server.url)
        async with started(here, there):
            for start in (0, 20):
                writers = (here, there) if start else (here,)
                admin.client_kill_filter(_type="pubsub")
                await asyncio.gather(
                    *(
                        writers[number % len(writers)].apply(changes.create(a_fault(f"f-{number}"), 0.0), an_entry())
                        for number in range(start, start + 20)
                    )
                )
                await converged(mine, theirs, revision=start + 20)
            admin.close()
            server.kill()
            await until(lambda: not here.up and not there.up, "both know that it is away")
            for store in (here, there):
                assert [entry.revision for entry in await store.audit(100)] == list(range(40, 0, -1))

    asyncio.run(scenario())


def test_a_paused_redis(redis_server: Start) -> None:
    """A change refused meanwhile is not made afterwards."""

    async def scenario() -> None:
        server = redis_server()
        here = store_from_url(server.url)
        there = store_from_url(server.url)
        mine = Seen(here)
        theirs = Seen(there)
        async with started(here, there):
            await here.apply(changes.create(a_fault(), here.now()), an_entry())
            await converged(mine, theirs, revision=1)
            server.stop()
            try:
                await asyncio.gather(refused(here), refused(there))
                await until(lambda: not here.up and not there.up, "both know that it is away")
                assert [record.name for record in mine.state.live(here.now())] == ["a"]
            finally:
                server.resume()
            await until(lambda: here.up and there.up, "both are back")
            state = (await there.apply(changes.end("a", there.now()), an_entry("end"))).after
            assert [record.name for record in state.faults] == ["a"]
            await converged(mine, theirs, revision=2)
            assert [entry.action for entry in await here.audit(10)] == ["end", "create"]

    asyncio.run(scenario())


def test_a_redis_without_memory(redis_server: Start) -> None:
    """Changes are refused completely, with Redis's reason; with memory they are made again."""

    async def scenario() -> None:
        server = redis_server("--maxmemory-policy", "noeviction")
        store = store_from_url(server.url)
        seen = Seen(store)
        with redis.Redis.from_url(server.url) as admin:
            async with started(store):
                admin.config_set("maxmemory", 1)
                with pytest.raises(StoreUnavailable, match="maxmemory"):
                    await store.apply(changes.create(a_fault(), store.now()), an_entry())
                assert (seen.revision, await store.audit(10), admin.keys()) == (0, [], [])
                admin.config_set("maxmemory", 0)
                await store.apply(changes.create(a_fault(), store.now()), an_entry())
                assert seen.revision == 1

    asyncio.run(scenario())


def test_a_lost_message_is_recovered_by_the_next_poll(redis_server: Start) -> None:
    """A change was made without an announcement."""

    async def scenario() -> None:
        server = redis_server()
        store = store_from_url(server.url)
        seen = Seen(store)
        with redis.Redis.from_url(server.url) as admin:
            async with started(store):
                made = (await store.apply(changes.create(a_fault(), store.now()), an_entry())).after
                silent = changes.end_all(store.now())(made)
                admin.hset("{chaosapi}:state", mapping={"revision": silent.revision, "state": write(silent)})
                await until(lambda: seen.state == silent, "the beat finds it")

    asyncio.run(scenario())


def test_a_replica_that_is_cut_off(redis_server: Start) -> None:
    """It keeps its snapshot, and catches up when the network is back."""

    async def scenario() -> None:
        server = redis_server()
        async with Relay(server.port) as relay:
            here = store_from_url(server.url)
            cut = store_from_url(relay.url)
            mine = Seen(here)
            theirs = Seen(cut)
            async with started(here, cut):
                await here.apply(changes.create(a_fault(), here.now()), an_entry())
                await converged(mine, theirs, revision=1)
                relay.cut()
                await here.apply(changes.end_all(here.now()), an_entry("end_all"))
                await until(lambda: not cut.up, "it knows that it is cut off")
                await refused(cut)
                assert theirs.revision == 1
                assert here.up
                relay.mend()
                await converged(mine, theirs, revision=2)
                assert len(await here.audit(10)) == 2

    asyncio.run(scenario())


def test_a_lost_reply(redis_server: Start) -> None:
    """The change was made, and the retry finds its own entry instead of repeating it."""

    async def scenario() -> None:
        server = redis_server()
        async with Relay(server.port) as relay:
            store = store_from_url(relay.url)
            async with started(store):
                await store.apply(changes.create(a_fault("a"), store.now()), an_entry())
                relay.swallow = True
                state = (await store.apply(changes.create(a_fault("b"), store.now()), an_entry())).after
                assert not relay.swallow
                assert state.revision == 2
                assert [entry.revision for entry in await store.audit(10)] == [2, 1]

    asyncio.run(scenario())


def test_clocks_half_a_minute_apart(redis_server: Start) -> None:
    """The store's clock is the reference: a fault ends on all replicas at the same time."""

    async def scenario() -> None:
        server = redis_server()
        clocks = [lambda: time.time() - 15, lambda: time.time() + 15]
        stores = [store_from_url(server.url, clock) for clock in clocks]
        async with started(*stores):
            slow, fast = (store.now() for store in stores)
            assert abs(slow - fast) < 1
            assert abs(slow - time.time()) < 1
            await stores[1].report(Replica(id="fast", host="h", pid=1, started=0), {})
            assert [replica.id for replica in await stores[0].replicas()] == ["fast"]

    asyncio.run(scenario())


def test_redis_may_start_after_the_service(redis_server: Start, tmp_path: Path) -> None:
    """Requests are served without it; it is used when it starts."""

    async def scenario() -> None:
        server = redis_server()
        server.kill()
        store = store_from_url(server.url)
        seen = Seen(store)
        async with started(store):
            assert not store.up
            assert await store.audit(10) == []
            await refused(store)
            server.start()
            await until(lambda: store.up, "it is there")
            await store.apply(changes.create(a_fault(), store.now()), an_entry())
            assert seen.revision == 1

    asyncio.run(scenario())


def test_a_change_before_the_first_sync_of_clocks_is_refused(redis_server: Start) -> None:
    """It has this machine's time, which may be wrong; a retry has the store's time."""

    async def scenario() -> None:
        server = redis_server()
        server.kill()
        store = store_from_url(server.url, lambda: time.time() + 15)
        async with started(store):
            server.start()
            with pytest.raises(StoreUnavailable, match="try again"):
                await store.apply(changes.create(a_fault(), store.now()), an_entry())
            state = (await store.apply(changes.create(a_fault(), store.now()), an_entry())).after
            assert state.revision == 1
            assert state.faults[0].created_at < time.time() + 1

    asyncio.run(scenario())


def test_a_change_that_may_not_be_announced_is_not_made(redis_server: Start) -> None:
    """Redis 7 denies all channels by default; the error says so, and nothing is changed in part."""

    async def scenario() -> None:
        server = redis_server()
        with redis.Redis.from_url(server.url) as admin:
            admin.acl_setuser(
                "mute", enabled=True, passwords=["+p"], keys=["*"], commands=["+@all"], reset_channels=True
            )
            store = store_from_url(server.url.replace("//", "//mute:p@"))
            seen = Seen(store)
            async with started(store):
                with pytest.raises(StoreUnavailable, match="channel"):
                    await store.apply(changes.create(a_fault(), store.now()), an_entry())
                assert (seen.revision, admin.keys()) == (0, [])

    asyncio.run(scenario())


def test_a_wrong_password_does_not_crash_the_service(redis_server: Start) -> None:
    """The right one, in the URL, works."""

    async def scenario() -> None:
        server = redis_server()
        with redis.Redis.from_url(server.url) as admin:
            admin.config_set("requirepass", "s3cret")
        for password, up in (("wrong", False), ("s3cret", True)):
            store = store_from_url(server.url.replace("//", f"//default:{password}@"))
            async with started(store):
                assert store.up is up

    asyncio.run(scenario())
