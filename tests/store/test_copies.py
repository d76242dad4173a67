"""A store is restored from an older copy while no replica runs: ended faults must not act again."""

import asyncio
import shutil
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
import redis

from chaosapi.faults import changes
from chaosapi.store import Replica, Store, store_from_url
from chaosapi.store.lease import LEASE_S, OLDER_COPY, RESTARTED, UNATTENDED, Lease, reason_to_end
from tests.conftest import Clock
from tests.patience import patience
from tests.store.conftest import RedisServer, Seen, a_fault, an_entry, started

ME = Replica(id="me", host="h", pid=1, started=0, revision=1)
KEYS = "{chaosapi}:*"


@pytest.mark.parametrize(
    ("mark", "why"),
    [
        (Lease(5, 100.0, "a"), None),
        (Lease(4, 100.0 - LEASE_S + 1, "a"), None),
        (None, UNATTENDED),
        (Lease(6, 100.0, "a"), OLDER_COPY),
        (Lease(5, 100.0 - LEASE_S, "a"), UNATTENDED),
        (Lease(5, 100.0 + LEASE_S, "a"), UNATTENDED),
        (Lease(5, 100.0, "b"), RESTARTED),
    ],
)
def test_faults_continue_only_if_the_store_is_not_an_older_copy(mark: Lease | None, why: str | None) -> None:
    """Detected by revision, by the last heartbeat, and by the server's identity."""
    assert reason_to_end(mark, 5, 100.0, "a") == why


async def begin(store: Store) -> Seen:
    """Create a fault as a replica that sends heartbeats."""
    seen = Seen(store)
    await store.apply(changes.create(a_fault(schedule={"duration": "1h"}), store.now()), an_entry())
    await store.report(ME, {})
    return seen


async def found(store: Store) -> tuple[list[str], str, int]:
    """Start a replica; return the live faults, the reason if none is live, and the revision."""
    seen = Seen(store)
    async with started(store):
        live = [record.name for record in seen.state.live(store.now())]
        return live, (await store.audit(1))[0].reason, seen.revision


def copies(path: Path, folder: Path) -> None:
    """Copy the files of a store."""
    for each in path.parent.glob(f"{path.name}*"):
        shutil.copy(each, folder)


def test_sqlite(tmp_path: Path, clock: Clock) -> None:
    """The file alone."""
    (tmp_path / "now").mkdir()
    (tmp_path / "then").mkdir()
    path = tmp_path / "now" / "faults.db"
    backup = tmp_path / "then"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{path}", clock)
        async with started(store):
            await begin(store)
            copies(path, backup)
            await store.apply(changes.end_all(clock.now), an_entry("end_all"))

    def again() -> tuple[list[str], str, int]:
        return asyncio.run(found(store_from_url(f"sqlite:///{path}", clock)))

    asyncio.run(scenario())
    for each in path.parent.glob("faults.db-[ws]*"):
        if "watermark" not in each.name:
            each.unlink()
    for name in ("faults.db", "faults.db-wal"):
        shutil.copy(backup / name, path.parent / name)
    assert again() == ([], OLDER_COPY, 3), "the revision of what ended it is not used twice"


@pytest.mark.parametrize("seconds", [LEASE_S - 1, LEASE_S])
def test_faults_of_sqlite_go_on_after_kill_9_for_as_long_as_the_lease(
    tmp_path: Path, clock: Clock, seconds: float
) -> None:
    """Nothing else wrote to the files."""
    path = tmp_path / "faults.db"

    async def scenario() -> tuple[list[str], str, int]:
        killed = store_from_url(f"sqlite:///{path}", clock)
        async with started(killed):
            await begin(killed)
            clock.now += seconds
            return await found(store_from_url(f"sqlite:///{path}", clock))

    assert asyncio.run(scenario()) == ((["a"], "", 1) if seconds < LEASE_S else ([], UNATTENDED, 2))


def copy_over(backup: Path, folder: Path) -> None:
    """Copy each file onto the present one, which keeps its inode."""
    for each in backup.iterdir():
        shutil.copy(each, folder / each.name)


def copy_with_times(backup: Path, folder: Path) -> None:
    """Copy with the times of the last change, as tar and rsync do."""
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


def rename(backup: Path, folder: Path) -> None:
    """Rename the folder: the files in it keep all their times."""
    shutil.rmtree(folder)
    backup.rename(folder)


@pytest.mark.parametrize("put_back", [copy_over, copy_with_times, rename])
def test_sqlite_restored_with_all_side_files(
    tmp_path: Path, clock: Clock, put_back: Callable[[Path, Path], None]
) -> None:
    """Though the copy is seconds old: the kill switch was used since."""
    folder = tmp_path / "now"
    backup = tmp_path / "then"
    folder.mkdir()
    backup.mkdir()
    path = folder / "faults.db"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{path}", clock)
        async with started(store):
            await begin(store)
            copies(path, backup)
            await store.apply(changes.end_all(clock.now), an_entry("end_all"))

    asyncio.run(scenario())
    time.sleep(0.3)  # the file system's clock decides: a copy that is put back at once is not recognised
    put_back(backup, folder)
    live, reason, revision = asyncio.run(found(store_from_url(f"sqlite:///{path}", clock)))
    assert (live, reason) == ([], OLDER_COPY)
    assert revision > 1000, "the revisions since the copy are not used twice"


def test_sqlite_with_a_watermark_that_cannot_be_read(tmp_path: Path, clock: Clock) -> None:
    """Nothing proves that the file is no copy."""
    path = tmp_path / "faults.db"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{path}", clock)
        async with started(store):
            await begin(store)

    asyncio.run(scenario())
    (tmp_path / "faults.db-watermark").write_text("garbage")
    assert asyncio.run(found(store_from_url(f"sqlite:///{path}", clock))) == ([], UNATTENDED, 2)


def test_sqlite_restored_while_it_is_used(tmp_path: Path) -> None:
    """All faults end, and no revision is used twice, whether a change or a poll comes first."""
    path = tmp_path / "faults.db"
    backup = tmp_path / "backup.db"

    def copy(source: Path, target: Path) -> None:
        with closing(sqlite3.connect(source)) as old, closing(sqlite3.connect(target)) as new:
            old.backup(new)

    async def scenario() -> None:
        here = store_from_url(f"sqlite:///{path}")
        there = store_from_url(f"sqlite:///{path}")
        seen = Seen(there)
        async with started(here, there):
            await begin(here)
            copy(path, backup)
            await here.apply(changes.end_all(here.now()), an_entry("end_all"))
            await seen.reach(2)
            copy(backup, path)
            state = (await here.apply(changes.create(a_fault("b"), here.now()), an_entry())).after
            assert (state.revision, [record.name for record in state.live(here.now())]) == (4, ["b"])
            await seen.reach(4)
            copy(backup, path)
            await seen.reach(5)
            assert seen.state.live(there.now()) == []
            assert (await there.audit(1))[0].reason == OLDER_COPY
            assert all(not {"a"} & {each.name for each in old.live(there.now())} for old in seen.states[2:])

    asyncio.run(scenario())


def test_a_copy_without_faults_uses_no_revision_twice(tmp_path: Path) -> None:
    """A client may still use an earlier revision in If-Match."""
    path = tmp_path / "faults.db"
    backup = tmp_path / "backup"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{path}")
        async with started(store):
            backup.write_bytes(path.read_bytes())
            await begin(store)
        path.write_bytes(backup.read_bytes())
        for tail in ("-wal", "-shm"):
            path.with_name(path.name + tail).unlink(missing_ok=True)
        again = store_from_url(f"sqlite:///{path}")
        async with started(again):
            assert (await again.apply(changes.create(a_fault("b"), again.now()), an_entry())).after.revision > 1

    asyncio.run(scenario())


def dump(admin: redis.Redis) -> dict[bytes, bytes]:
    """Return a copy of all chaosapi keys."""
    return {key: admin.dump(key) for key in admin.keys(KEYS)}  # type: ignore[misc]  # bytes, as it is not asynchronous


def restore(admin: redis.Redis, copy: dict[bytes, bytes]) -> None:
    """Restore a copy."""
    admin.flushall()
    for key, value in copy.items():
        admin.restore(key, 0, value)


def test_redis_restarted_with_an_older_copy_while_no_replica_ran(redis_server: Callable[..., RedisServer]) -> None:
    """Also if the copy is seconds old; with the same server and its own data the fault continues."""
    server = redis_server()

    async def before() -> None:
        store = store_from_url(server.url)
        async with started(store):
            await begin(store)

    async def ended() -> None:
        store = store_from_url(server.url)
        async with started(store):
            await store.apply(changes.end_all(store.now()), an_entry("end_all"))
            await store.report(ME.model_copy(update={"revision": 2}), {})

    def again() -> tuple[list[str], str, int]:
        return asyncio.run(found(store_from_url(server.url)))

    asyncio.run(before())
    with redis.Redis.from_url(server.url) as admin:
        copy = dump(admin)
        assert again()[:2] == (["a"], ""), "all replicas restarted"
        asyncio.run(ended())
        later = admin.hgetall("{chaosapi}:lease")
        restore(admin, copy)
        admin.hset("{chaosapi}:lease", mapping=later)
        assert again()[:2] == ([], OLDER_COPY), "a part of it was put back"
        restore(admin, copy)
        admin.hset("{chaosapi}:lease", "seen", 1.0)
        assert again()[:2] == ([], UNATTENDED)
    server.kill()
    server.start()
    with redis.Redis.from_url(server.url) as admin:
        restore(admin, copy)
    live, why, revision = again()
    assert (live, why) == ([], RESTARTED)
    assert revision > 1000, "what was changed after the copy had revisions that nobody here knows"


def test_redis_restored_from_an_older_copy_after_the_replicas_started(redis_server: Callable[..., RedisServer]) -> None:
    """A heartbeat of a replica that has not read the state does not renew the lease."""
    server = redis_server()

    async def scenario() -> None:
        store = store_from_url(server.url)
        async with started(store):
            await begin(store)
        with redis.Redis.from_url(server.url) as admin:
            copy = dump(admin)
        server.kill()
        late = store_from_url(server.url)
        seen = Seen(late)
        async with started(late):
            server.start()
            with redis.Redis.from_url(server.url) as admin:
                restore(admin, copy)
                while seen.revision < 1000:
                    await asyncio.sleep(0.01)
                assert all(not state.live(late.now()) for state in seen.states)

    asyncio.run(asyncio.wait_for(scenario(), patience(30)))


def modes(folder: Path) -> dict[str, int]:
    """Return the mode of each file."""
    return {each.name: each.stat().st_mode & 0o777 for each in folder.iterdir()}


def test_only_the_owner_may_read_the_files_of_sqlite(tmp_path: Path) -> None:
    """SQLite's side files too, and a file that others could read before."""
    path = tmp_path / "faults.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE t (x)")
    path.chmod(0o644)

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{path}")
        async with started(store):
            await store.apply(changes.create(a_fault(), store.now()), an_entry())
            assert modes(tmp_path) == {f"faults.db{tail}": 0o600 for tail in ("", "-wal", "-shm", "-watermark")}

    asyncio.run(scenario())
