"""All replicas together: who there is, how far each has come, and what a fault did on all of them."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from hashlib import blake2b
from typing import Final

from cachetools import LRUCache

from chaosapi.errors import StoreUnavailable
from chaosapi.faults.fault import Record
from chaosapi.faults.receipt import Denied, Receipt, Replicas
from chaosapi.injection.engine import Engine
from chaosapi.store import Store
from chaosapi.store.codec import tally_key
from chaosapi.store.replica import Replica
from chaosapi.store.tallies import denied_reason, dump_counts, is_readable, sum_counts

_FIRST_POLL_S: Final = 0.015
"""Seconds before the first look how far the others have come: none reports sooner, and looks would hold them up."""
_LONGEST_POLL_S: Final = 0.05
"""Seconds between two looks at most."""
_CACHED_RECEIPTS: Final = 1000
"""Receipts of sums that are remembered: about as many bytes each."""


class Fleet:
    """Knows this replica as it is now, and the others as they last reported."""

    def __init__(self, store: Store, engine: Engine, me: Replica) -> None:
        self._store, self._engine, self._me = store, engine, me
        self._others: list[Replica] = []
        self._sums: LRUCache[bytes, Receipt] = LRUCache(_CACHED_RECEIPTS)
        self._lock = threading.Lock()

    async def replicas(self) -> list[Replica]:
        """Return all that live, by id. Raises StoreUnavailable."""
        self._others = [replica for replica in await self._store.replicas() if replica.id != self._me.id]
        mine = {"revision": self._engine.state.revision, "seen": self._store.now()}
        return sorted([self._me.model_copy(update=mine), *self._others], key=lambda replica: replica.id)

    async def count_applied(self, revision: int, wait: float = 0.0) -> Replicas:
        """Count who has applied a revision: at once, or when all have or so many seconds are over."""
        loop = asyncio.get_running_loop()
        due, pause = loop.time() + wait, _FIRST_POLL_S
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
        """Count this replica as the only one that is known to have come so far."""
        return Replicas(applied=1, known=1 + len(self._others))

    async def receipts(self, records: Sequence[Record]) -> list[Receipt]:
        """Write the receipt of each fault, summed over all replicas; this one's counts alone while the store is away.

        Others' counts are those of their last report, at most a beat old; one that left in order has told them all.
        """
        receipt_of = await self.receipt_writer(records)
        return await asyncio.to_thread(lambda: [receipt_of(record) for record in records])

    async def receipt_writer(self, records: Sequence[Record]) -> Callable[[Record], Receipt]:
        """Ask what the faults did, and return what writes their receipts, for a thread: sums of delays take a while."""
        revisions, others = await self._revisions(), await self._reported_counts(records)

        def receipt_of(record: Record) -> Receipt:
            replicas = _count_applied(revisions, record.revision)
            return self._receipt(record, others.get(tally_key(record), {}), replicas)

        return receipt_of

    def _receipt(self, record: Record, reported: dict[str, str], replicas: Replicas) -> Receipt:
        tally, rate = self._engine.tally(record), record.spec.rate
        foreign = [(replica, text) for replica, text in sorted(reported.items()) if replica != self._me.id]
        others = [(replica, text) for replica, text in foreign if is_readable(text)]
        reasons = [(self._me.id, tally.denied), *((replica, denied_reason(text)) for replica, text in others)]
        refusals = [Denied(replica=replica, reason=why) for replica, why in reasons if why]
        if not others:
            return tally.receipt(rate, replicas, refusals)
        whole = self._sum_receipt([dump_counts(tally), *(text for _, text in others)])
        requested = whole.requested_rate if whole.matched else rate
        return whole.model_copy(update={"requested_rate": requested, "replicas": replicas, "denied": refusals})

    def _sum_receipt(self, texts: Sequence[str]) -> Receipt:
        """Write the receipt of a sum; those of faults that have ended, whose texts stay the same, are remembered."""
        known = blake2b("\0".join(texts).encode()).digest()
        with self._lock:
            found = self._sums.get(known)
        if found is None:
            found = sum_counts(texts).receipt(rate=0.0)
            with self._lock:
                self._sums[known] = found
        return found

    async def _revisions(self) -> list[int]:
        """Return how far each replica has come; while the store is away nobody can tell but for this one."""
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
