import asyncio
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.faults.receipt import Counts
from chaosapi.faults.state import State
from chaosapi.store import Replica, store_from_url
from chaosapi.store.codec import tally_key
from chaosapi.store.tallies import dump_counts
from tests.store.conftest import Seen, a_fault, an_entry, started, until

ENDLESS = """
import asyncio, sys
from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import AuditEntry
from chaosapi.store import store_from_url

async def main(url):
    store = store_from_url(url)
    await store.start()
    spec = Fault.model_validate({"name": "a", "effect": {"type": "error"}})
    for number in range(1_000_000):
        await store.apply(changes.replace(spec, 100_000.0 * number), AuditEntry(at=0, actor="me", action="replace"))
        print(number + 1, flush=True)

asyncio.run(main(sys.argv[1]))
"""


def test_a_killed_writer_loses_no_acknowledged_change(tmp_path: Path) -> None:
    """Every acknowledged change is there with its audit entry; other writers continue."""
    url = f"sqlite:///{tmp_path / 'faults.db'}"
    with subprocess.Popen([sys.executable, "-c", ENDLESS, url], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        told = [int(process.stdout.readline()) for _ in range(50)]
        process.kill()
        told += [int(line) for line in process.stdout]

    async def scenario() -> None:
        store = store_from_url(url)
        seen = Seen(store)
        async with started(store):
            entries = await store.audit(10_000)
            assert seen.revision - told[-1] in (0, 1)
            assert [entry.revision for entry in entries] == list(range(seen.revision, 0, -1))
            assert (await store.apply(changes.end_all(0), an_entry("end_all"))).after.revision in (
                seen.revision,
                seen.revision + 1,
            )

    asyncio.run(scenario())


def test_a_frozen_writer_blocks_changes_but_no_reads(tmp_path: Path) -> None:
    """Changes are refused until it resumes."""
    path = tmp_path / "faults.db"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{path}")
        seen = Seen(store)
        async with started(store):
            await store.apply(changes.create(a_fault(), store.now()), an_entry())
            with sqlite3.connect(path, isolation_level=None) as other:
                other.execute("BEGIN IMMEDIATE")
                with pytest.raises(StoreUnavailable, match="locked"):
                    await store.apply(changes.end_all(store.now()), an_entry("end_all"))
                assert len(await store.audit(10)) == 1
                other.execute("ROLLBACK")
            other.close()
            await store.apply(changes.end_all(store.now()), an_entry("end_all"))
            assert seen.revision == 2
            assert store.up

    asyncio.run(scenario())


def test_opening_a_file_waits_for_its_creation_by_another_process(tmp_path: Path) -> None:
    """Workers start concurrently; SQLite would refuse all but one the switch to write-ahead logging."""
    path = tmp_path / "faults.db"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{path}")
        with sqlite3.connect(path, isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            asyncio.get_running_loop().call_later(0.1, other.execute, "ROLLBACK")
            async with started(store):
                assert store.up
        other.close()

    asyncio.run(scenario())


def test_a_file_that_was_moved_is_not_written_to(tmp_path: Path) -> None:
    """Other processes would not see the change; after the file is moved back, the store works."""
    path = tmp_path / "faults.db"
    elsewhere = tmp_path / "elsewhere.db"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{path}")
        async with started(store):
            path.rename(elsewhere)
            await until(lambda: not store.up, "it notices")
            with pytest.raises(StoreUnavailable, match="moved or deleted"):
                await store.apply(changes.create(a_fault(), store.now()), an_entry())
            elsewhere.rename(path)
            await store.apply(changes.create(a_fault(), store.now()), an_entry())
            assert store.up

    asyncio.run(scenario())


def test_an_invalid_file_prevents_startup_with_the_reason(tmp_path: Path) -> None:
    """A missing folder, a file that is no database, and a database of another program, whose rows stay."""
    (tmp_path / "text").write_text("this is no database " * 100)
    with closing(sqlite3.connect(tmp_path / "other")) as db:
        db.execute("CREATE TABLE state (city TEXT)")
        db.execute("INSERT INTO state VALUES ('Leipzig')")
        db.commit()

    async def scenario(path: str) -> None:
        store = store_from_url(f"sqlite:///{path}")
        with pytest.raises(OSError, match="cannot be opened"):
            await store.start()
        await store.close()

    for path in ("nowhere/faults.db", "text", "other"):
        asyncio.run(scenario(str(tmp_path / path)))
    with closing(sqlite3.connect(tmp_path / "other")) as db:
        assert db.execute("SELECT city FROM state").fetchall() == [("Leipzig",)]


def test_an_unreadable_state_is_replaced_at_startup_and_kept_aside(tmp_path: Path) -> None:
    """As that of another release: the service starts without faults, and the audit has the reason."""
    file = tmp_path / "faults.db"

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{file}")
        await store.start()
        await store.apply(changes.create(a_fault(), store.now()), an_entry())
        await store.close()
        with closing(sqlite3.connect(file)) as db:
            db.execute("""UPDATE state SET state = replace(state, '"halt"', '"later": 1, "halt"')""")
            db.commit()
        later = store_from_url(f"sqlite:///{file}")
        seen = Seen(later)
        async with started(later):
            assert later.up
            assert (seen.revision, seen.state.faults) == (2, ())
            assert [entry.reason for entry in await later.audit(10)] == ["the stored state could not be read", ""]
        with closing(sqlite3.connect(file)) as db:
            ((kept,),) = db.execute("SELECT state FROM unreadable").fetchall()
        assert '"later": 1' in kept

    asyncio.run(scenario())


def test_a_late_tally_is_deleted_with_the_next_dropped_fault(tmp_path: Path) -> None:
    """A replica that has not applied a replacement reports the old fault once more: such rows must not pile up."""

    async def scenario() -> None:
        store = store_from_url(f"sqlite:///{tmp_path / 'faults.db'}")
        await store.start()
        keys = []
        for moment in range(3):
            keys.append(
                tally_key((await store.apply(changes.create(a_fault(), 1000 * moment), an_entry())).after.faults[0])
            )
            await store.report(
                Replica(id="me", host="here", pid=1, started=0), {keys[0]: dump_counts(Counts(matched=5))}
            )
        assert await store.tallies(keys) == {keys[0]: {"me": dump_counts(Counts(matched=5))}, keys[1]: {}, keys[2]: {}}
        await store.apply(changes.create(a_fault(), 3000), an_entry())
        assert await store.tallies(keys[:1]) == {keys[0]: {}}
        await store.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("url", "hint"),
    [
        ("sqlite://faults.db", "sqlite:///faults.db"),
        ("sqlite:///", "sqlite:///faults.db"),
        ("postgres://x", "memory://"),
        ("faults.db", "memory://"),
    ],
)
def test_an_invalid_store_url_is_refused_with_the_valid_forms(url: str, hint: str) -> None:
    """The error is raised by store_from_url."""
    with pytest.raises(ValueError, match=hint):
        store_from_url(url)


def test_waiting_changes_share_the_wait_for_the_file_lock(tmp_path: Path) -> None:
    """Each change's time-out starts when it is requested, and no reader waits for the sum."""
    file = tmp_path / "faults.db"

    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        store = store_from_url(f"sqlite:///{file}")

        async def refused(number: int) -> float:
            with pytest.raises(StoreUnavailable):
                await store.apply(changes.create(a_fault(f"f{number}"), 0), an_entry("create"))
            return loop.time()

        async with started(store):
            with closing(sqlite3.connect(file, isolation_level=None)) as other:
                other.execute("BEGIN IMMEDIATE")
                begun = loop.time()
                waiting = [asyncio.create_task(refused(number)) for number in range(8)]
                await asyncio.sleep(0)  # they are asked for
                assert await store.audit(1) == []
                read = loop.time() - begun
                ends = [end - begun for end in await asyncio.gather(*waiting)]
                other.execute("ROLLBACK")
            assert max(ends) < 3 * min(ends)
            assert read < 3 * min(ends)
            assert (await store.apply(changes.create(a_fault("g"), 0), an_entry("create"))).after.revision == 1

    asyncio.run(scenario())


def test_records_that_another_process_left_unchanged_are_not_parsed_again(tmp_path: Path) -> None:
    """Another process changes one of two faults: the other record stays the same object, for the next change too."""
    url = f"sqlite:///{tmp_path / 'faults.db'}"

    async def scenario() -> None:
        one = store_from_url(url)
        other = store_from_url(url)
        async with started(one), started(other):
            await one.apply(changes.create(a_fault("a"), 1), an_entry("create"))
            stays = (await one.apply(changes.create(a_fault("b"), 2), an_entry("create"))).after.find("a")
            await other.apply(changes.end("b", 3), an_entry("end"))
            assert (await one.refresh()).find("a") is stays
            assert (await one.apply(changes.halt("", 0), an_entry("halt"))).after.revision == 4
            known: list[State] = []

            def look(state: State) -> State:
                known.append(state)
                return state

            made = (await one.apply(changes.resume(), an_entry("resume"))).after
            await one.apply(look, an_entry("end"))
            assert known == [made]
            assert known[0] is made

    asyncio.run(scenario())
