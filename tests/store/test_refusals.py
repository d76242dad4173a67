"""Redis answers, and takes no change, for every reason that it has: changes are refused, the kill switch works."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import pytest
import redis

from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.store import open_store
from tests.store.conftest import RedisServer, a_fault, an_entry, full, started, until
from tests.store.test_poisoned import switched

Refusal = Callable[[RedisServer], AbstractContextManager[None]]


@contextmanager
def follower(server: RedisServer) -> Iterator[None]:
    """READONLY: it has become the copy of another one, which is not there."""
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("replica-serve-stale-data", "yes")
        admin.replicaof("127.0.0.1", 1)
        yield
        admin.replicaof("NO", "ONE")


@contextmanager
def locked(server: RedisServer) -> Iterator[None]:
    """NOAUTH: it asks for a password that we do not have."""
    with redis.Redis.from_url(server.url) as admin:
        admin.config_set("requirepass", "s3cret")
        for kind in ("normal", "pubsub"):
            admin.client_kill_filter(_type=kind, skipme=True)
        yield
        admin.config_set("requirepass", "")


@contextmanager
def forbidden(server: RedisServer) -> Iterator[None]:
    """NOPERM: our user may not run scripts any more."""
    with redis.Redis.from_url(server.url) as admin:
        admin.acl_setuser("default", enabled=True, nopass=True, commands=["-evalsha", "-eval"])
        yield
        admin.acl_setuser("default", enabled=True, nopass=True, commands=["+@all"])


def busy_with_a_script(admin: redis.Redis) -> bool:
    """Tell whether it refuses everything for that."""
    try:
        admin.get("x")
    except redis.ResponseError as error:
        return "BUSY" in str(error)
    return False


@contextmanager
def busy(server: RedisServer) -> Iterator[None]:
    """BUSY: somebody's script runs for ever."""

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
def test_a_redis_that_takes_no_change(redis_server: Callable[..., RedisServer], refusal: Refusal) -> None:
    """It is not up until it takes some again; what the kill switch ended stays so, and is stored then."""
    server = redis_server()

    async def scenario() -> None:
        store = open_store(server.url)
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
