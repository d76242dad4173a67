import asyncio
from collections.abc import Callable, Mapping

import pytest

from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.faults.receipt import Counts
from chaosapi.runtime import heartbeat
from chaosapi.runtime.heartbeat import Heartbeat
from chaosapi.store import MemoryStore, Replica, store_from_url
from chaosapi.store.codec import tally_key
from chaosapi.store.tallies import sum_counts
from tests.patience import patience
from tests.store.conftest import RedisServer, Seen, a_fault, an_entry, started, until

ME = Replica(id="me", host="here", pid=1, started=0)


def test_a_revision_is_reported_at_once_and_the_counts_at_the_end() -> None:
    """Any thread may request a report; after the replica has left, the tallies stay."""

    async def scenario() -> None:
        store = MemoryStore()
        seen = Seen(store)
        tally = Counts()
        heart = Heartbeat(store, ME, lambda: seen.revision, lambda: [(each, tally) for each in seen.state.faults])
        store.subscribe(lambda _: heart.report_soon())
        beating = asyncio.create_task(heart.run())
        record = (await store.apply(changes.create(a_fault(), store.now()), an_entry())).after.faults[0]

        async def applied() -> int:
            return max([0, *(replica.revision for replica in await store.replicas())])

        async with asyncio.timeout(patience(10)):
            while await applied() < 1:
                await asyncio.sleep(0)
        tally.matched = 12
        beating.cancel()
        await asyncio.wait([beating])
        await heart.report_leaving()
        assert await store.replicas() == []
        assert sum_counts(((await store.tallies([tally_key(record)]))[tally_key(record)]["me"],)).matched == 12

    asyncio.run(scenario())


def test_after_a_flush_all_tallies_are_reported_again(redis_server: Callable[..., RedisServer]) -> None:
    """Unchanged tallies too."""

    async def scenario() -> None:
        server = redis_server()
        store = store_from_url(server.url)
        seen = Seen(store)
        tally = Counts(matched=5)
        heart = Heartbeat(store, ME, lambda: seen.revision, lambda: [(each, tally) for each in seen.state.faults])
        async with started(store):
            record = (await store.apply(changes.create(a_fault(), store.now()), an_entry())).after.faults[0]
            beating = asyncio.create_task(heart.run())

            async def counted() -> int:
                try:
                    return sum(
                        sum_counts((text,)).matched
                        for text in (await store.tallies([tally_key(record)]))[tally_key(record)].values()
                    )
                except StoreUnavailable:
                    return 0

            async with asyncio.timeout(patience(15)):
                while await counted() != 5:
                    await asyncio.sleep(0.01)
                server.kill()
                server.start()
                await until(lambda: seen.revision > 1, "it is healed")
                while await counted() != 5:
                    await asyncio.sleep(0.01)
            beating.cancel()
            await asyncio.wait([beating])

    asyncio.run(scenario())


def test_the_tally_of_an_ended_fault_is_reported_with_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with the next heartbeat: a caller that waited for the end may read the receipt."""
    monkeypatch.setattr(heartbeat, "HEARTBEAT_S", 1000.0)

    async def scenario() -> None:
        store = MemoryStore()
        seen = Seen(store)
        tally = Counts()
        record = (await store.apply(changes.create(a_fault(), store.now()), an_entry())).after.faults[0]
        heart = Heartbeat(store, ME, lambda: seen.revision, lambda: [(each, tally) for each in seen.state.faults])
        beating = asyncio.create_task(heart.run())
        await asyncio.sleep(0)
        store.subscribe(lambda _: heart.report_soon())
        tally.matched = 7
        await store.apply(changes.end("a", store.now()), an_entry("end"))
        async with asyncio.timeout(patience(10)):
            while [replica.revision for replica in await store.replicas()] != [2]:
                await asyncio.sleep(0)
        assert sum_counts(((await store.tallies([tally_key(record)]))[tally_key(record)]["me"],)).matched == 7
        beating.cancel()
        await asyncio.wait([beating])

    asyncio.run(scenario())


class Slow(MemoryStore):
    """A store whose first report never returns."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        if not self.asked.is_set():
            self.asked.set()
            await asyncio.Event().wait()
        await super().report(replica, tallies, leaving=leaving)


def test_a_cancelled_reports_tallies_are_reported_on_leaving() -> None:
    """The service may be stopped while a heartbeat waits for the store."""

    async def scenario() -> None:
        store = Slow()
        tally = Counts(matched=7)
        record = (await store.apply(changes.create(a_fault(), store.now()), an_entry())).after.faults[0]
        heart = Heartbeat(store, ME, lambda: 1, lambda: [(record, tally)])
        beating = asyncio.create_task(heart.run())
        await store.asked.wait()
        beating.cancel()
        await asyncio.wait([beating])
        await heart.report_leaving()
        assert sum_counts(((await store.tallies([tally_key(record)]))[tally_key(record)]["me"],)).matched == 7

    asyncio.run(scenario())
