"""Redis replies but refuses writes, for each possible reason: changes are refused, the kill switch works."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import redis

from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.store import store_from_url
from tests.store.conftest import RedisServer, a_fault, an_entry, full, started, until
from tests.store.test_poisoned import switched

Refusal = Callable[[RedisServer], AbstractContextManager[None]]


@contextmanager
def follower(server: RedisServer) -> Iterator[None]:
    """READONLY: Redis has become a replica of an unreachable primary."""
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("replica-serve-stale-data", "yes")
        admin.replicaof("127.0.0.1", 1)
        yield
        admin.replicaof("NO", "ONE")


@contextmanager
def locked(server: RedisServer) -> Iterator[None]:
    """NOAUTH: Redis requires a password that the service does not have."""
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("requirepass", "s3cret")
        for kind in ("normal", "pubsub"):
            admin.client_kill_filter(_type=kind, skipme=True)
        yield
        admin.config_set("requirepass", "")


@contextmanager
def forbidden(server: RedisServer) -> Iterator[None]:
    """NOPERM: the user may no longer run scripts."""
    with redis.Redis.from_url(server.url) as admin:
        admin.acl_setuser("default", enabled=True, nopass=True, commands=["-evalsha", "-eval"])
        yield
        admin.acl_setuser("default", enabled=True, nopass=True, commands=["+@all"])


def busy_with_a_script(admin: redis.Redis) -> bool:
    """Return whether Redis refuses every command for that reason."""
    try:
        admin.get("x")
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


@contextmanager
def busy(server: RedisServer) -> Iterator[None]:
    """BUSY: another client's script runs for ever."""

    def loop() -> None:
        with redis.Redis.from_url(server.url) as other, pytest.raises(redis.ResponseError):
            other.eval("while true do end", 0)

    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("lua-time-limit", 10)
        thread = threading.Thread(target=loop)
        thread.start()
        while not busy_with_a_script(admin):
            pass
        yield
        admin.script_kill()
        thread.join()


@pytest.mark.parametrize("refusal", [full, follower, locked, forbidden, busy])
def test_a_redis_that_refuses_writes(redis_server: Callable[..., RedisServer], refusal: Refusal) -> None:
    """The store is down until writes succeed; faults ended by the kill switch stay ended, and that is stored then."""
    server = redis_server()

    async def scenario() -> None:
        store = store_from_url(server.url)
        kill = switched(store)
        async with started(store):
            await store.apply(changes.create(a_fault(), store.now()), an_entry())
            with refusal(server):
                with pytest.raises(StoreUnavailable):
                    await store.apply(changes.create(a_fault("b"), store.now()), an_entry())
                assert not store.up
                done = await kill.end_all(an_entry("end_all"))
                assert (done.ended, done.stored) == (1, False)
                assert done.state.live(store.now()) == []
                with pytest.raises(StoreUnavailable):
                    await kill.wait_until_stored()
            await until(lambda: store.up, "it takes changes again")
            await kill.wait_until_stored()
            assert [entry.action for entry in await store.audit(10)] == ["end_all", "create"]
            await kill.close()

    asyncio.run(scenario())
