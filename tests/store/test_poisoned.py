"""A store with an unreadable state: changes are refused with the reason, and the kill switch overwrites it."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import redis

from chaosapi.errors import StoreUnreadable
from chaosapi.faults import changes
from chaosapi.faults.state import State
from chaosapi.injection.engine import Engine
from chaosapi.runtime.kill_switch import KillSwitch
from chaosapi.store import Replica, Store, store_from_url
from tests.store.conftest import RedisServer, Seen, a_fault, an_entry, started, until
from tests.tiny_app import ROUTES

DEEP = '{"revision":7,"faults":[{"name":"a","spec":{"effect":{"type":"error","body":' + 300 * "[" + 300 * "]" + "}}}]}"
TEXTS = {
    "deep": DEEP,
    "cut off": '{"revision":7,"faults":[',
    "another release": '{"revision":7,"faults":[],"halt":null,"later":1}',
    "empty": "",
    "surrogate": '{"revision":7,"faults":[],"halt":{"since":1,"reason":"\\ud800"}}',
    "no date": '{"revision":7,"faults":[],"halt":{"since":1e300,"reason":""}}',
    "another revision": '{"revision":8,"faults":[],"halt":null}',
}


def switched(store: Store) -> KillSwitch:
    """Return a kill switch on the store, as a replica has."""
    engine = Engine(ROUTES, store.now)
    kill = KillSwitch(store, engine, engine.load, None)
    store.subscribe(kill.apply_stored)
    return kill


async def killed(store: Store, kill: KillSwitch, revision: int) -> State:
    """Use the kill switch on an unreadable store; check that the store works afterwards."""
    with pytest.raises(StoreUnreadable, match="could not be read"):
        await store.apply(changes.create(a_fault("more"), store.now()), an_entry())
    assert not store.up
    done = await kill.end_all(an_entry("end_all"))
    assert done.stored
    assert done.state.faults == ()
    assert done.state.revision >= revision
    assert store.up
    assert (await store.audit(10))[0].action == "end_all"
    made = (await store.apply(changes.create(a_fault("more"), store.now()), an_entry())).after
    assert made.revision == done.state.revision + 1
    return made


def poison_sqlite(path: Path, text: object, revision: object = 7) -> None:
    """Store a state that no release wrote."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("INSERT OR REPLACE INTO state (id, revision, state) VALUES (1, ?, ?)", (revision, text))
        db.commit()


@pytest.mark.parametrize("text", [*TEXTS.values(), b"\xff\xfe", 5], ids=[*TEXTS, "bytes", "number"])
def test_sqlite(tmp_path: Path, text: object) -> None:
    """While the store is used, and before it is opened."""
    path = tmp_path / "faults.db"

    async def scenario() -> None:
        here = store_from_url(f"sqlite:///{path}")
        there = store_from_url(f"sqlite:///{path}")
        kill = switched(here)
        seen = Seen(there)
        async with started(here, there):
            await here.apply(changes.create(a_fault(), here.now()), an_entry())
            poison_sqlite(path, text)
            await until(lambda: not here.up and not there.up, "both notice")
            made = await killed(here, kill, 8)
            await seen.reach(made.revision)
            assert there.up
        poison_sqlite(path, text, "no number")
        late = store_from_url(f"sqlite:///{path}")
        latest = Seen(late)
        async with started(late):
            assert late.up
            assert latest.state.faults == ()
            assert latest.revision > made.revision
            assert "could not be read" in (await late.audit(1))[0].reason

    asyncio.run(scenario())


def test_an_audit_with_malformed_entries_shows_the_rest(tmp_path: Path) -> None:
    """An entry whose fault is too deeply nested is shown without it."""
    path = tmp_path / "faults.db"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{path}")
        async with started(store):
            await store.apply(changes.create(a_fault(), store.now()), an_entry())
            deep = (
                '{"revision":2,"at":1,"actor":"me","action":"create","fault":"a","spec":' + 250 * "[" + 250 * "]" + "}"
            )
            with closing(sqlite3.connect(path)) as db:
                for entry in ("no json", deep, '{"at":1e300,"actor":"x","action":"create"}', "[]"):
                    db.execute("INSERT INTO audit (entry) VALUES (?)", (entry,))
                db.commit()
            assert [entry.revision for entry in await store.audit(10)] == [2, 1]

    asyncio.run(scenario())


GARBAGE = TEXTS["cut off"]
STATE = "{chaosapi}:state"
AUDIT = "{chaosapi}:audit"


def texts(text: str) -> Callable[[redis.Redis], None]:
    """Replace the state by a text; keep its revision."""

    def poison(admin: redis.Redis) -> None:
        admin.hset(STATE, mapping={"revision": 7, "version": "other", "state": text})

    return poison


def replaced(key: str, how: str, *arguments: str) -> Callable[[redis.Redis], None]:
    """Replace a key by a value of another type."""

    def poison(admin: redis.Redis) -> None:
        admin.delete(key)
        admin.execute_command(how, key, *arguments)  # type: ignore[no-untyped-call]  # redis-py types it not

    return poison


def field(name: str, value: object) -> Callable[[redis.Redis], None]:
    """Change one field of the state."""

    def poison(admin: redis.Redis) -> None:
        admin.hset(STATE, name, value)  # type: ignore[arg-type]  # bytes and text

    return poison


POISON = {
    **{name: texts(text) for name, text in TEXTS.items()},
    "a text for the state": replaced(STATE, "SET", "x"),
    "a list for the state": replaced(STATE, "RPUSH", "x"),
    "no number": field("revision", "many"),
    "no text": field("version", b"\xff\xfe"),
}


@pytest.mark.parametrize("poison", POISON.values(), ids=POISON)
def test_redis(shared_redis: RedisServer, poison: Callable[[redis.Redis], None]) -> None:
    """While the store is used, and before it is opened; the other replica continues to follow."""

    async def scenario() -> None:
        with redis.Redis.from_url(shared_redis.url) as admin:
            admin.flushall()
            here = store_from_url(shared_redis.url)
            there = store_from_url(shared_redis.url)
            kill = switched(here)
            seen = Seen(there)
            async with started(here, there):
                await here.apply(changes.create(a_fault(), here.now()), an_entry())
                await seen.reach(1)
                poison(admin)
                await until(lambda: not here.up and not there.up, "both notice")
                made = await killed(here, kill, 2)
                await seen.reach(made.revision)
                await until(lambda: there.up, "the other one is back too")
                await there.apply(changes.end_all(there.now()), an_entry("end_all"))
            poison(admin)
            late = store_from_url(shared_redis.url)
            latest = Seen(late)
            async with started(late):
                await until(lambda: late.up, "it starts")
                assert latest.state.live(late.now()) == []
                await late.apply(changes.create(a_fault("new"), late.now()), an_entry())

    asyncio.run(scenario())


def test_a_redis_that_lost_a_part_of_the_state(shared_redis: RedisServer) -> None:
    """A running replica writes it again with the next change; a starting replica ends all faults."""

    async def scenario() -> None:
        with redis.Redis.from_url(shared_redis.url) as admin:
            admin.flushall()
            here = store_from_url(shared_redis.url)
            late = store_from_url(shared_redis.url)
            seen = Seen(late)
            async with started(here):
                await here.apply(changes.create(a_fault(), here.now()), an_entry())
                admin.hdel(STATE, "state")
                await here.apply(changes.create(a_fault("b"), here.now()), an_entry())
                assert admin.hexists(STATE, "state")
                admin.hdel(STATE, "state")
            async with started(late):
                assert seen.state.faults == ()
                await late.apply(changes.create(a_fault("new"), late.now()), an_entry())

    asyncio.run(scenario())


def test_a_redis_with_other_malformed_keys_works(shared_redis: RedisServer) -> None:
    """Audit, replicas, tallies and announcements: readable values are used, and the kill switch works."""

    async def scenario() -> None:
        with redis.Redis.from_url(shared_redis.url) as admin:
            admin.flushall()
            here = store_from_url(shared_redis.url)
            there = store_from_url(shared_redis.url)
            kill = switched(here)
            seen = Seen(there)
            me = Replica(id="me", host="h", pid=1, started=0)
            async with started(here, there):
                await here.apply(changes.create(a_fault(), here.now()), an_entry())
                admin.lpush(AUDIT, "garbage", b"{}", 'x {"revision":3,"at":"never"}')
                admin.hset(
                    "{chaosapi}:replicas",
                    mapping={"x": "garbage", "y": '{"id":"y","host":"h","pid":1,"started":1e300}'},
                )
                admin.set("{chaosapi}:tally:a@1", "no hash")
                for message in ("garbage", b"\xff", "[]", '{"follows":""}'):
                    admin.publish("{chaosapi}:changes:0", message)
                await here.report(me, {})
                assert [each.id for each in await here.replicas()] == ["me"]
                assert await here.tallies(["a@1", "b@1"]) == {"a@1": {}, "b@1": {}}
                assert [entry.action for entry in await here.audit(10)] == ["create"]
                replaced("{chaosapi}:replicas", "SET", "x")(admin)
                with pytest.raises(StoreUnreadable):
                    await here.report(me, {})
                await here.report(me, {})
                replaced(AUDIT, "SET", "x")(admin)
                replaced("{chaosapi}:lease", "SET", "x")(admin)
                assert [entry.action for entry in await here.audit(10)] == ["create"], "this replica remembers it"
                done = await kill.end_all(an_entry("end_all"))
                assert done.stored
                await seen.reach(done.state.revision)
                assert seen.state.live(there.now()) == []
                assert [entry.action for entry in await there.audit(10)] == ["end_all", "create"]

    asyncio.run(scenario())
