"""Redis is flushed repeatedly while twelve replicas make changes: the audit has every acknowledged change."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

import pytest
import redis

from chaosapi.errors import StoreUnavailable
from chaosapi.faults import changes
from chaosapi.faults.state import AuditEntry
from chaosapi.store import Store, store_from_url
from chaosapi.store.redis import recovery
from chaosapi.store.redis.audit_cache import AuditCache, line_revision, trim
from tests.patience import patience
from tests.store.conftest import RedisServer, Seen, a_fault, an_entry, started, until

WRITERS = 12
FLUSHES = 15
TOLD = tuple[int, str]
"""The acknowledged revision of a change, and the writer's name."""


async def write(store: Store, number: int, over: asyncio.Event, told: list[TOLD]) -> None:
    """Change the same fault repeatedly; record the acknowledged changes."""
    count = 0
    while not over.is_set():
        count += 1
        name = f"{number}-{count}"
        change = changes.replace(a_fault(f"w-{number}", seed=count), store.now())
        try:
            state = (await store.apply(change, an_entry("replace", actor=name))).after
        except StoreUnavailable:
            continue
        told.append((state.revision, name))
        await asyncio.sleep(0)


@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHALL and SCRIPT FLUSH", "DEL of the audit"])
def test_nothing_acknowledged_is_lost_and_no_revision_is_used_twice(
    redis_server: Callable[..., RedisServer], command: str
) -> None:
    """A replica that knows a change restores it. Two concurrent restores get the same revision once in 10^5 runs."""
    chance = random.Random(11)
    server = redis_server()

    async def scenario() -> None:
        stores = [store_from_url(server.url) for _ in range(WRITERS)]
        seen = [Seen(store) for store in stores]
        told: list[TOLD] = []
        over = asyncio.Event()
        with redis.Redis.from_url(server.url) as admin:
            async with started(*stores):
                first = (
                    await stores[0].apply(changes.create(a_fault(), stores[0].now()), an_entry(actor="first"))
                ).after
                told.append((first.revision, "first"))
                for each in seen:
                    await each.reach(1)
                writers = [asyncio.create_task(write(store, number, over, told)) for number, store in enumerate(stores)]
                for _ in range(FLUSHES):
                    enough = len(told) + chance.randrange(1, 60)
                    await until(lambda: len(told) >= enough, "changes are made")  # noqa: B023 - used at once
                    if command.startswith("DEL"):
                        admin.delete("{chaosapi}:audit")
                    else:
                        admin.flushall()
                    if "SCRIPT" in command:
                        admin.script_flush()
                over.set()
                await asyncio.gather(*writers)
                last = (
                    await stores[0].apply(changes.halt("over", stores[0].now()), an_entry("halt", actor="last"))
                ).after
                told.append((last.revision, "last"))
                for each in seen:
                    await each.reach(last.revision)
                wanted = {name for _, name in told}
                audit: list[AuditEntry] = []
                while wanted - {entry.actor for entry in audit}:  # each puts back what it knows, by and by
                    await asyncio.sleep(0.05)
                    audit = await stores[0].audit(10_000)
        found = Counter((entry.revision, entry.actor) for entry in audit)
        assert not [each for each in told if found[each] != 1]
        assert len(told) > FLUSHES
        doubled = {number: count for number, count in Counter(number for number, _ in found).items() if count > 1}
        assert not doubled
        assert [entry.revision for entry in audit] == sorted((entry.revision for entry in audit), reverse=True)

    asyncio.run(asyncio.wait_for(scenario(), patience(60)))


def line(number: int, size: int = 0) -> str:
    """Return a line of the audit."""
    return recovery.audit_line(an_entry(actor=size * "x").model_copy(update={"revision": number}))


def test_the_audit_cache_is_bounded_by_number_and_by_size() -> None:
    """The newest entries stay, whatever their order of arrival."""
    lines = [line(number) for number in range(1, 101)]
    few = AuditCache(10, 10**9)
    few.add(reversed(lines))
    few.add(lines)
    assert len(few) <= 11
    assert few.newest()[:10] == lines[:-11:-1]
    small = AuditCache(10**9, 10 * len(lines[-1]))
    small.add(lines)
    small.add([line(1000, size=5 * len(lines[-1]))])
    assert sum(map(len, small.newest())) <= 11 * len(lines[-1])
    assert line_revision(small.newest()[0]) == 1000
    assert few.missing(lines[:-1]) == lines[-1:]


def test_malformed_lines_are_not_cached() -> None:
    """They have no revision to sort by."""
    kept = AuditCache(10, 1000)
    kept.add(["garbage", "x {}", 'x {"revision":"1"}', ""])
    assert kept.newest() == []
    assert trim(["much too long"], 1, 1) == ["much too long"], "one at least"
