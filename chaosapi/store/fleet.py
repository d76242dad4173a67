"""All replicas together: who there is, how far each has come, and what a fault did on all of them."""

import asyncio
from collections.abc import Sequence
from typing import Final

from chaosapi.engine import Engine
from chaosapi.errors import StoreUnavailable
from chaosapi.fault import Record
from chaosapi.receipt import Receipt, Replicas
from chaosapi.store import Store
from chaosapi.store.codec import key
from chaosapi.store.replica import Replica
from chaosapi.store.tallies import dump, total

_SOON: Final = 0.015
"""Seconds before the first look how far the others have come: none reports sooner, and looks would hold them up."""
_LATE: Final = 0.05
"""Seconds between two looks at most."""


class Fleet:
    """Knows this replica as it is now, and the others as they last reported."""

    def __init__(self, store: Store, engine: Engine, me: Replica) -> None:
        self._store, self._engine, self._me = store, engine, me
        self._others: list[Replica] = []

    async def replicas(self) -> list[Replica]:
        """Return all that live, by id. Raises StoreUnavailable."""
        self._others = [replica for replica in await self._store.replicas() if replica.id != self._me.id]
        mine = {"revision": self._engine.state.revision, "seen": self._store.now()}
        return sorted([self._me.model_copy(update=mine), *self._others], key=lambda replica: replica.id)

    async def reached(self, revision: int, wait: float = 0.0) -> Replicas:
        """Count who has applied a revision: at once, or when all have or so many seconds are over."""
        loop = asyncio.get_running_loop()
        due, pause = loop.time() + wait, _SOON
        if self._others:
            await asyncio.sleep(min(pause, wait))
        while True:
            counted = _counted(await self._revisions(), revision)
            left = due - loop.time()
            if counted.applied == counted.known or left <= 0:
                return counted
            await asyncio.sleep(min(pause, left))
            pause = min(2 * pause, _LATE)

    def alone(self) -> Replicas:
        """Count this replica as the only one that is known to have come so far."""
        return Replicas(applied=1, known=1 + len(self._others))

    async def receipts(self, records: Sequence[Record]) -> list[Receipt]:
        """Write the receipt of each fault, summed over all replicas; this one's counts alone while the store is away.

        Others' counts are those of their last report, at most a beat old; one that left in order has told them all.
        """
        revisions, others = await self._revisions(), await self._reported(records)
        receipts = []
        for record in records:
            await asyncio.sleep(0)  # sums of many delays take a while: others are not to wait for all of them
            replicas = _counted(revisions, record.revision)
            receipts.append(self._receipt(record, others.get(key(record), {}), replicas))
        return receipts

    def _receipt(self, record: Record, reported: dict[str, str], replicas: Replicas) -> Receipt:
        tally = self._engine.tally(record)
        if texts := [text for replica, text in sorted(reported.items()) if replica != self._me.id]:
            tally = total((dump(tally), *texts))
        return tally.receipt(record.spec.rate, replicas)

    async def _revisions(self) -> list[int]:
        """Return how far each replica has come; while the store is away nobody can tell but for this one."""
        try:
            if self._store.up:
                return [replica.revision for replica in await self.replicas()]
        except StoreUnavailable:
            pass
        return [self._engine.state.revision, *(-1 for _ in self._others)]

    async def _reported(self, records: Sequence[Record]) -> dict[str, dict[str, str]]:
        try:
            if records and self._store.up:
                return await self._store.tallies([key(record) for record in records])
        except StoreUnavailable:
            pass
        return {}


def _counted(revisions: Sequence[int], revision: int) -> Replicas:
    return Replicas(applied=sum(each >= revision for each in revisions), known=len(revisions))
