"""The contract of all stores, tested with each real store."""

import asyncio
import subprocess
import sys
from contextlib import ExitStack

import pytest

from chaosapi.access import IssuedToken, digest_of
from chaosapi.effects import EFFECTS
from chaosapi.errors import Conflict, NotFound, PreconditionFailed
from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.faults.receipt import Counts
from chaosapi.faults.state import Applied, Halt
from chaosapi.store import Replica, store_from_url
from chaosapi.store.codec import tally_key
from chaosapi.store.tallies import dump_counts, sum_counts
from tests.patience import patience
from tests.store.conftest import Open, Seen, a_fault, an_entry, started, until


def test_every_replica_is_notified_of_every_change(open_one: Open) -> None:
    """Changes of any replica arrive in order, and the states are equal."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        mine = Seen(here)
        theirs = Seen(there)
        async with started(here, there):
            await here.apply(changes.create(a_fault(), here.now()), an_entry())
            await there.apply(changes.end_all(there.now()), an_entry("end_all"))
            for seen in (mine, theirs):
                await seen.reach(2)
            assert mine.state == theirs.state
            assert [state.revision for state in mine.states] == [0, 1, 2]
            assert here.up
            assert there.up

    asyncio.run(scenario())


def test_a_late_replica_starts_with_the_stored_state(open_one: Open) -> None:
    """The state is loaded before `start` returns."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        async with started(here):
            made = (await here.apply(changes.create(a_fault(), here.now()), an_entry())).after
            late = Seen(there)
            async with started(there):
                assert late.state == made

    asyncio.run(scenario())


def test_issued_tokens_reach_every_replica(open_one: Open) -> None:
    """Running ones and late ones; a change of the faults keeps them, and so does a stop."""
    token = IssuedToken(
        id="0123abcd", role="operator", label="blue", digest=digest_of("t"), created_at=1.0, expires_at=4e9
    )

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        theirs = Seen(there)
        async with started(here, there):
            await here.apply(changes.issue_token(token, here.now()), an_entry("issue_token"))
            await here.apply(changes.create(a_fault(), here.now()), an_entry())
            await here.apply(changes.end_all(here.now()), an_entry("end_all"))
            await theirs.reach(3)
            assert theirs.state.tokens == (token,)
            late = open_one()
            seen = Seen(late)
            async with started(late):
                assert seen.state.tokens == (token,)
            await there.apply(changes.revoke_token(token.id, here.now()), an_entry("revoke_token"))
            await theirs.reach(4)
            assert not theirs.state.tokens

    asyncio.run(scenario())


def test_the_audit_has_every_change_newest_first(open_one: Open) -> None:
    """Signed with the revision and the changed fault, the same on all replicas."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        async with started(here, there):
            create = an_entry().model_copy(update={"fault": "a"})
            await here.apply(changes.create(a_fault(), here.now()), create)
            await here.apply(changes.halt("drill", here.now()), an_entry("halt"))
            for store in (here, there):
                entries = await store.audit(10)
                assert [(entry.revision, entry.action) for entry in entries] == [(2, "halt"), (1, "create")]
                assert entries[1].spec == a_fault()
                assert len(await store.audit(1)) == 1

    asyncio.run(scenario())


def test_pages_of_the_audit_are_complete_and_disjoint(open_one: Open) -> None:
    """Also on a replica that did not make the changes."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        async with started(here, there):
            for number in range(130):
                await here.apply(changes.replace(a_fault(seed=number), here.now()), an_entry())
            for store in (here, there):
                pages = [await store.audit(60)]
                while pages[-1]:
                    pages.append(await store.audit(60, pages[-1][-1].revision))
                assert [len(page) for page in pages] == [60, 60, 10, 0]
                assert [entry.revision for page in pages for entry in page] == list(range(130, 0, -1))

    asyncio.run(scenario())


def test_a_refused_change_or_a_no_op_leaves_no_trace(open_one: Open) -> None:
    """The state, the audit and the subscribers are unchanged."""

    async def scenario() -> None:
        store = open_one()
        seen = Seen(store)
        async with started(store):
            with pytest.raises(NotFound):
                await store.apply(changes.end("nobody", 0), an_entry("end"))
            await store.apply(changes.end_all(0), an_entry("end_all"))
            assert await store.audit(10) == []
            assert [state.revision for state in seen.states] == [0]

    asyncio.run(scenario())


def test_a_change_may_require_a_revision(open_one: Open) -> None:
    """If-Match: refused without any change if another change came first."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        async with started(here, there):
            await here.apply(changes.create(a_fault("a"), here.now()), an_entry())
            await here.apply(changes.patch("a", {"rate": 0.5}, Fault.model_validate, here.now()), an_entry("patch"))
            end = changes.end("a", there.now())
            with pytest.raises(PreconditionFailed, match="at revision 2, not at 1"):
                await there.apply(changes.unless_changed("a", 1, end), an_entry("end"))
            state = (await there.apply(changes.unless_changed("a", 2, end), an_entry("end"))).after
            assert state.revision == 3
            assert len(await here.audit(10)) == 3

    asyncio.run(scenario())


def test_faults_are_read_back_exactly(open_shared: Open) -> None:
    """Every effect of the catalogue, and durations that the text form would round."""

    async def scenario() -> None:
        here = open_shared()
        there = open_shared()
        async with started(here, there):
            odd = {"duration": 61.234567891, "start_after": 1e-7}
            specs = [
                Fault.model_validate(
                    {"name": f"f-{index}", "effect": effect.example, "schedule": odd, "seed": 2**64 - 1}
                )
                for index, effect in enumerate(EFFECTS)
            ]
            for spec in specs:
                made = (await here.apply(changes.create(spec, 1_800_000_000.123457), an_entry())).after
            seen = Seen(there)
            await until(lambda: seen.revision == len(specs), "all are heard")
            assert seen.state == made
            assert [record.spec for record in reversed(seen.state.faults)] == specs
            again = (await there.apply(changes.replace(specs[0], 1_800_000_001), an_entry("replace"))).after
            assert again == made, "the same body again changes nothing"

    asyncio.run(scenario())


def test_all_concurrent_changes_are_made(open_one: Open) -> None:
    """Two replicas make 25 concurrent changes each: none is lost, none is made twice."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        mine = Seen(here)
        theirs = Seen(there)
        async with started(here, there):
            await asyncio.gather(
                *(
                    store.apply(changes.create(a_fault(f"{name}-{number}"), store.now()), an_entry())
                    for number in range(25)
                    for name, store in (("here", here), ("there", there))
                )
            )
            for seen in (mine, theirs):
                await seen.reach(50)
            assert mine.state == theirs.state
            assert len(mine.state.faults) == 50
            assert [entry.revision for entry in await here.audit(100)] == list(range(50, 0, -1))

    asyncio.run(scenario())


def test_of_two_concurrent_creations_of_a_name_one_succeeds(open_one: Open) -> None:
    """The other gets a conflict."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        async with started(here, there):
            asked = (store.apply(changes.create(a_fault(), store.now()), an_entry()) for store in (here, there))
            answers = await asyncio.gather(*asked, return_exceptions=True)
            assert {type(answer) for answer in answers} == {Applied, Conflict}
            assert len(await here.audit(10)) == 1

    asyncio.run(scenario())


def test_a_change_is_applied_to_the_stored_state_and_not_to_the_snapshot(open_shared: Open) -> None:
    """A fault created on one replica can be ended on another at once."""

    async def scenario() -> None:
        here = open_shared()
        there = open_shared()
        async with started(here, there):
            for number in range(20):
                name = f"f-{number}"
                await there.apply(changes.create(a_fault(name), there.now()), an_entry())
                ended = (await here.apply(changes.end(name, here.now()), an_entry("end"))).after
                assert ended.live(here.now()) == []

    asyncio.run(scenario())


def test_the_state_survives_a_restart_of_all_replicas(open_shared: Open) -> None:
    """State and audit are there when they start again."""

    async def scenario() -> None:
        first = open_shared()
        async with started(first):
            made = (await first.apply(changes.create(a_fault(), first.now()), an_entry())).after
        second = open_shared()
        seen = Seen(second)
        async with started(second):
            assert seen.state == made
            assert [entry.action for entry in await second.audit(10)] == ["create"]

    asyncio.run(scenario())


WRITER = """
import asyncio, sys
from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import AuditEntry
from chaosapi.store import store_from_url

async def main(url, name):
    store = store_from_url(url)
    await store.start()
    for number in range(40):
        spec = Fault.model_validate({"name": f"{name}-{number}", "effect": {"type": "error"}})
        entry = AuditEntry(at=store.now(), actor=name, action="create")
        await store.apply(changes.create(spec, store.now()), entry)
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("store_url", ["sqlite", "redis"], indirect=True)
def test_concurrent_writer_processes_lose_no_change(store_url: str) -> None:
    """Two real processes, 40 changes each."""
    commands = [[sys.executable, "-W", "error", "-c", WRITER, store_url, name] for name in ("one", "two")]
    processes = [subprocess.Popen(command) for command in commands]
    assert [process.wait(patience(60)) for process in processes] == [0, 0]

    async def scenario() -> None:
        store = store_from_url(store_url)
        seen = Seen(store)
        async with started(store):
            entries = await store.audit(100)
        assert seen.revision == 80
        assert len({record.name for record in seen.state.faults}) == 80
        assert [entry.revision for entry in entries] == list(range(80, 0, -1))
        assert {actor: sum(entry.actor == actor for entry in entries) for actor in ("one", "two")} == {
            "one": 40,
            "two": 40,
        }

    asyncio.run(scenario())


STARTER = """
import asyncio, sys
from chaosapi.faults import changes
from chaosapi.faults.fault import Fault
from chaosapi.faults.state import AuditEntry
from chaosapi.store import store_from_url

async def main(url, name):
    store = store_from_url(url)
    print("ready", flush=True)
    sys.stdin.read()
    await store.start()
    fault = Fault.model_validate({"name": name, "effect": {"type": "error"}, "schedule": {"duration": 300}})
    await store.apply(changes.create(fault, store.now()), AuditEntry(at=store.now(), actor=name, action="create"))
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("store_url", ["sqlite", "redis"], indirect=True)
def test_processes_that_start_concurrently_keep_each_others_faults(store_url: str) -> None:
    """Each creates a fault after its start; no other process ends it as abandoned."""
    names = [f"w-{number}" for number in range(4)]
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-W", "error", "-c", STARTER, store_url, name],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                )
            )
            for name in names
        ]
        for process in processes:
            assert process.stdout
            assert process.stdout.readline() == b"ready\n"
        for process in processes:
            assert process.stdin
            process.stdin.close()
        assert [process.wait(patience(60)) for process in processes] == [0] * len(names)

    async def scenario() -> None:
        store = store_from_url(store_url)
        seen = Seen(store)
        async with started(store):
            assert sorted(record.name for record in seen.state.live(store.now())) == names
            assert {entry.action for entry in await store.audit(100)} == {"create"}

    asyncio.run(scenario())


def a_replica(name: str, revision: int = 0) -> Replica:
    """Return a replica."""
    return Replica(id=name, host="here", pid=1, started=0, revision=revision)


def test_replicas_are_listed_while_they_send_heartbeats(open_one: Open) -> None:
    """With their applied revision, until they leave."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        async with started(here, there):
            await here.report(a_replica("one"), {})
            await there.report(a_replica("two"), {})
            await there.report(a_replica("two", revision=7), {})
            known = {replica.id: replica for replica in await here.replicas()}
            assert {name: replica.revision for name, replica in known.items()} == {"one": 0, "two": 7}
            assert all(abs(replica.seen - here.now()) < 5 for replica in known.values())
            await there.report(a_replica("two", revision=7), {}, leaving=True)
            assert [replica.id for replica in await here.replicas()] == ["one"]

    asyncio.run(scenario())


def test_a_replica_without_heartbeats_is_dropped(open_shared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """After five missed heartbeats, by the store's clock."""

    async def scenario() -> None:
        here = open_shared()
        async with started(here):
            await here.report(a_replica("one"), {})
            (known,) = await here.replicas()
            assert known.is_alive(known.seen + 4.9)
            assert not known.is_alive(known.seen + 5)
            monkeypatch.setattr("chaosapi.store.replica.ALIVE_FOR_S", 0.0)
            assert await here.replicas() == []

    asyncio.run(scenario())


def counted(matched: int, delays: list[float], **skipped: int) -> Counts:
    """Return a tally."""
    tally = Counts(matched=matched, expected=matched / 2, injected=len(delays))
    tally.skipped.update(skipped)
    for delay in delays:
        tally.record_delay(delay, delay + 0.001)
    return tally


def test_tallies_of_all_replicas_are_kept(open_one: Open) -> None:
    """Each report replaces the replica's previous one; tallies of stopped replicas still count."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        async with started(here, there):
            state = (await here.apply(changes.create(a_fault(), here.now()), an_entry())).after
            fault = tally_key(state.faults[0])
            await here.report(a_replica("one"), {fault: dump_counts(counted(5, [0.1]))})
            await here.report(a_replica("one"), {fault: dump_counts(counted(10, [0.1, 0.0], max_held=2))})
            await there.report(a_replica("two"), {fault: dump_counts(counted(7, [0.3], max_held=1, preempted=1))})
            await there.report(a_replica("two"), {}, leaving=True)
            found = await here.tallies([fault, "nobody@1"])
            assert found["nobody@1"] == {}
            whole = sum_counts(tuple(found[fault].values()))
            assert whole.receipt(1) == counted(17, [0.1, 0.0, 0.3], max_held=3, preempted=1).receipt(1)
            assert whole.skipped == {"max_held": 3, "preempted": 1}

    asyncio.run(scenario())


def test_tallies_are_deleted_with_their_fault(open_one: Open) -> None:
    """A new fault of the same name starts without tallies."""

    async def scenario() -> None:
        store = open_one()
        async with started(store):
            former = tally_key((await store.apply(changes.create(a_fault(), 0), an_entry())).after.faults[0])
            await store.report(a_replica("one"), {former: dump_counts(counted(5, []))})
            later = tally_key((await store.apply(changes.create(a_fault(), 1000), an_entry())).after.faults[0])
            assert await store.tallies([former, later]) == {former: {}, later: {}}

    asyncio.run(scenario())


def test_a_reset_does_not_read_the_stored_state(open_one: Open) -> None:
    """It ends all faults on all replicas at a higher revision, with its audit entry; it may set a halt."""

    async def scenario() -> None:
        here = open_one()
        there = open_one()
        seen = Seen(there)
        async with started(here, there):
            for name in ("a", "b"):
                await there.apply(changes.create(a_fault(name), there.now()), an_entry())
            state = await here.reset(an_entry("halt"), Halt(since=1.0, reason="drill"))
            assert (state.revision, state.faults, state.halt) == (3, (), Halt(since=1.0, reason="drill"))
            await seen.reach(3)
            assert seen.state == state
            assert [(entry.revision, entry.action) for entry in await there.audit(1)] == [(3, "halt")]
            assert await there.refresh() == state
            with pytest.raises(Conflict, match="drill"):
                await there.apply(changes.create(a_fault(), there.now()), an_entry())

    asyncio.run(scenario())


def test_a_cancelled_change_is_made_or_not_made(open_shared: Open) -> None:
    """If it is made, all replicas are notified; it is never made in part."""

    async def scenario() -> None:
        here = open_shared()
        there = open_shared()
        mine = Seen(here)
        theirs = Seen(there)
        async with started(here, there):
            for number in range(20):
                change = changes.create(a_fault(f"f-{number}"), here.now())
                task = asyncio.create_task(here.apply(change, an_entry()))
                for _ in range(number):
                    await asyncio.sleep(0)
                task.cancel()
                await asyncio.wait([task])
            last = (await here.apply(changes.halt("done", here.now()), an_entry("halt"))).after
            for seen in (mine, theirs):
                await seen.reach(last.revision)
            assert mine.state == theirs.state == last
            assert [entry.revision for entry in await there.audit(100)] == list(range(last.revision, 0, -1))

    asyncio.run(scenario())


def test_the_audit_is_bounded_in_bytes(open_shared: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    """Large entries evict older ones; the latest entry stays, whatever its size."""
    for module in ("sqlite.tables", "redis.records"):
        monkeypatch.setattr(f"chaosapi.store.{module}.MAX_AUDIT_BYTES", 20_000)
        monkeypatch.setattr(f"chaosapi.store.{module}.LARGE_ENTRY_BYTES", 500)

    async def scenario() -> None:
        store = open_shared()
        async with started(store):
            for number in range(30):
                fault = a_fault("a", seed=number, effect={"type": "error", "body": "x" * 3000})
                entry = an_entry("replace").model_copy(update={"fault": "a"})
                await store.apply(changes.replace(fault, store.now()), entry)
            entries = await store.audit(100)
            assert [entry.revision for entry in entries] == list(range(30, 30 - len(entries), -1))
            assert 4 <= len(entries) <= 6
            larger = a_fault("a", effect={"type": "error", "body": "x" * 30_000})
            await store.apply(changes.replace(larger, store.now()), entry)
            assert [entry.revision for entry in await store.audit(100)] == [31]

    asyncio.run(scenario())
