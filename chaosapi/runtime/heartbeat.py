"""Heartbeats: this replica reports to the store that it is alive, its revision, and the counts of its faults."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from chaosapi.errors import StoreUnavailable
from chaosapi.faults.fault import Record
from chaosapi.faults.receipt import Counts
from chaosapi.logger import get_logger
from chaosapi.store import Store
from chaosapi.store.codec import tally_key
from chaosapi.store.replica import HEARTBEAT_S, Replica
from chaosapi.store.tallies import dump_counts

_GATHER_S: Final = 0.01
"""How long the report of a new revision waits: other workers of this machine apply the revision first."""

log = get_logger("chaosapi.store")


class Heartbeat:
    """Reports at an interval, and at once after a new revision, with the counts of the faults that it changed.

    Other replicas see the counts of the last heartbeat; after a graceful shutdown, those of the last request. `applied`
    returns the revision of this replica, `tallies` the counts of every fault that it knows.
    """

    def __init__(
        self,
        store: Store,
        me: Replica,
        applied: Callable[[], int],
        tallies: Callable[[], Iterable[tuple[Record, Counts]]],
    ) -> None:
        self._store = store
        self._me = me
        self._applied = applied
        self._tallies = tallies
        self._reported: dict[str, str] = {}
        self._reported_revision = -1
        self._applied_at = 0.0
        self._wake: Callable[[], object] = lambda: None

    async def run(self) -> None:
        """Report until cancelled."""
        loop = asyncio.get_running_loop()
        wake = asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(loop.call_later, _GATHER_S, wake.set)
        due = loop.time()
        while True:
            wake.clear()
            full = loop.time() >= due
            if full:
                due = loop.time() + HEARTBEAT_S
            await self._report(full=full)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await wake.wait()

    def report_soon(self) -> None:
        """Schedule the report of a revision that was applied just now; call it from any thread."""
        self._applied_at = self._store.now()
        self._wake()

    async def report_leaving(self) -> None:
        """Report for the last time, after the last request and after `run` has ended."""
        self._wake = lambda: None
        await self._report(full=True, leaving=True)

    async def _report(self, *, full: bool, leaving: bool = False) -> None:
        me = self._me.model_copy(update={"revision": self._applied(), "applied_at": self._applied_at})
        counted = [(record, tally) for record, tally in self._tallies() if tally.matched or tally.denied]
        if full:
            # A store whose revision differs may be a new one, which has none of the counts.
            reported = self._reported if me.revision == self._reported_revision else {}
            current = {tally_key(record): dump_counts(tally) for record, tally in counted}
            changed = {fault: text for fault, text in current.items() if reported.get(fault) != text}
        else:
            changed = {
                tally_key(record): dump_counts(tally)
                for record, tally in counted
                if record.revision > self._reported_revision
            }
        try:
            await self._store.report(me, changed, leaving=leaving)
        except StoreUnavailable as error:
            self._reported_revision = -1
            log.debug("a heartbeat got lost", reason=str(error))
        except Exception:
            self._reported_revision = -1
            log.exception("a heartbeat failed")
        else:
            if full:  # only now: the store may not have a report that was cancelled
                self._reported = current
                self._reported_revision = me.revision
