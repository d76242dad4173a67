"""All replicas together: which are alive, which revision each has applied, and the receipts of all."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

from cachetools import LRUCache

from chaosapi.errors import StoreUnavailable
from chaosapi.faults.fault import Record
from chaosapi.faults.receipt import Counts, Denial, Receipt, ReplicaCounts, Replicas
from chaosapi.injection.engine import Engine
from chaosapi.store import Store
from chaosapi.store.codec import tally_key
from chaosapi.store.replica import Replica
from chaosapi.store.tallies import denied_reason, dump_counts, is_readable, sum_counts

_FIRST_POLL_S: Final = 0.015
"""The time before the first poll: a report takes at least this long, and polls would delay it."""
_LONGEST_POLL_S: Final = 0.05
_CACHED_RECEIPTS: Final = 1000
"""A receipt takes about 1,000 bytes."""


class Fleet:
    """This replica as it is now, and all other replicas by their last reports."""

    def __init__(self, store: Store, engine: Engine, me: Replica) -> None:
        self._store = store
        self._engine = engine
        self._me = me
        self._others: list[Replica] = []
        self._sums: LRUCache[bytes, Receipt] = LRUCache(_CACHED_RECEIPTS)
        self._lock = threading.Lock()

    async def replicas(self) -> list[Replica]:
        """Return all live replicas, sorted by id; raises StoreUnavailable."""
        self._others = [replica for replica in await self._store.replicas() if replica.id != self._me.id]
        mine = {"revision": self._engine.state.revision, "seen": self._store.now()}
        return sorted([self._me.model_copy(update=mine), *self._others], key=lambda replica: replica.id)

    def names(self) -> list[str]:
        """Return the name of each replica that was alive when they were last read; workers of one replica share it."""
        return sorted(replica.name for replica in (self._me, *self._others))

    async def refresh(self) -> None:
        """Read which replicas are alive, if the store is available."""
        await self._revisions()

    async def count_applied(self, revision: int, wait: float = 0.0) -> Replicas:
        """Count the replicas that have applied a revision; wait until all have, at most `wait` seconds."""
        loop = asyncio.get_running_loop()
        due = loop.time() + wait
        pause = _FIRST_POLL_S
        if self._others:
            await asyncio.sleep(min(pause, wait))
        while True:
            counted = _count_applied(await self._revisions(), revision)
            left = due - loop.time()
            if counted.applied == counted.known or left <= 0:
                return counted
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LONGEST_POLL_S)

    def count_self_applied(self) -> Replicas:
        """Count this replica alone as having applied a revision."""
        return Replicas(applied=1, known=1 + len(self._others))

    async def receipts(self, records: Sequence[Record]) -> list[Receipt]:
        """Return the receipt of each fault, summed over all replicas; without the store, the counts of this replica.

        Counts of other replicas are those of their last heartbeat; a replica reports all its counts when it shuts down.
        """
        receipt_of = await self.receipt_writer(records)
        return await asyncio.to_thread(lambda: [receipt_of(record) for record in records])

    async def receipt_writer(self, records: Sequence[Record]) -> Callable[[Record], Receipt]:
        """Read all counts from the store; return a function that makes receipts. Call it in a thread: sums are slow."""
        revisions = await self._revisions()
        others = await self._reported_counts(records)

        def receipt_of(record: Record) -> Receipt:
            replicas = _count_applied(revisions, record.revision)
            return self._receipt(record, others.get(tally_key(record), {}), replicas)

        return receipt_of

    def _receipt(self, record: Record, reported: dict[str, str], replicas: Replicas) -> Receipt:
        tally = self._engine.counts_of(record)
        rate = record.spec.rate
        foreign = [(replica, text) for replica, text in sorted(reported.items()) if replica != self._me.id]
        others = [(replica, text) for replica, text in foreign if is_readable(text)]
        reasons = [(self._me.id, tally.denied), *((replica, denied_reason(text)) for replica, text in others)]
        refusals = [Denial(replica=replica, reason=why) for replica, why in reasons if why]
        by_replica = self._counts_by_replica(tally, others) if record.spec.differs_by_replica else ()
        if not others:
            return tally.receipt(rate, replicas, refusals).model_copy(update={"by_replica": by_replica})
        whole = self._sum_receipt([dump_counts(tally), *(text for _, text in others)])
        requested = whole.requested_rate if whole.matched else rate
        return whole.model_copy(
            update={
                "requested_rate": requested,
                "replicas": replicas,
                "denied": refusals,
                "by_replica": by_replica,
            }
        )

    def _counts_by_replica(self, mine: Counts, others: Sequence[tuple[str, str]]) -> list[ReplicaCounts]:
        names = {replica.id: replica.name for replica in self._others}
        counts = [(self._me.name, mine), *((names.get(number, number), sum_counts([text])) for number, text in others)]
        return sorted((each.of_replica(name) for name, each in counts), key=lambda each: each.replica)

    def _sum_receipt(self, texts: Sequence[str]) -> Receipt:
        """Return the receipt of a sum. Cached: the counts of ended faults never change."""
        known = blake2b("\0".join(texts).encode()).digest()
        with self._lock:
            found = self._sums.get(known)
        if found is None:
            found = sum_counts(texts).receipt(rate=0.0)
            with self._lock:
                self._sums[known] = found
        return found

    async def _revisions(self) -> list[int]:
        """Return the applied revision of each replica, -1 for other replicas while the store is unavailable."""
        try:
            if self._store.up:
                return [replica.revision for replica in await self.replicas()]
        except StoreUnavailable:
            pass
        return [self._engine.state.revision, *(-1 for _ in self._others)]

    async def _reported_counts(self, records: Sequence[Record]) -> dict[str, dict[str, str]]:
        try:
            if records and self._store.up:
                return await self._store.tallies([tally_key(record) for record in records])
        except StoreUnavailable:
            pass
        return {}


def _count_applied(revisions: Sequence[int], revision: int) -> Replicas:
    return Replicas(applied=sum(each >= revision for each in revisions), known=len(revisions))
