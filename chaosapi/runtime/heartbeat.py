"""Tells the store that this replica lives, how far it has come, and what its faults did."""

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from chaosapi.errors import StoreUnavailable
from chaosapi.faults.fault import Record
from chaosapi.faults.receipt import Tally
from chaosapi.logger import get_logger
from chaosapi.store import Store
from chaosapi.store.codec import tally_key
from chaosapi.store.replica import HEARTBEAT_S, Replica
from chaosapi.store.tallies import dump_counts

_GATHER_S: Final = 0.01
"""Seconds between an applied revision and its report: what has yet to be applied on this machine comes first."""

log = get_logger("chaosapi.store")


class Heartbeat:
    """Reports on a beat, and at once when a new revision was applied, with the counts of the faults that it changed.

    What a replica has counted is known to the others up to its last beat; up to its last request once it left in order.
    `applied` and `tallies` tell how far this replica is, and what every fault that it knows did here.
    """

    def __init__(
        self,
        store: Store,
        me: Replica,
        applied: Callable[[], int],
        tallies: Callable[[], Iterable[tuple[Record, Tally]]],
    ) -> None:
        self._store, self._me, self._applied, self._tallies = store, me, applied, tallies
        self._reported: dict[str, str] = {}
        self._reported_revision = -1
        self._applied_at = 0.0
        self._wake: Callable[[], object] = lambda: None

    async def run(self) -> None:
        """Report until cancelled."""
        loop = asyncio.get_running_loop()
        news = asyncio.Event()
        self._wake = lambda: loop.call_soon_threadsafe(loop.call_later, _GATHER_S, news.set)
        due = loop.time()
        while True:
            news.clear()
            full = loop.time() >= due
            if full:
                due = loop.time() + HEARTBEAT_S
            await self._report(full=full)
            with suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await news.wait()

    def report_soon(self) -> None:
        """Let the store know soon that a new revision was applied just now; call it from any thread."""
        self._applied_at = self._store.now()
        self._wake()

    async def report_leaving(self) -> None:
        """Report for the last time, once no request is left and `run` has ended."""
        self._wake = lambda: None
        await self._report(full=True, leaving=True)

    async def _report(self, *, full: bool, leaving: bool = False) -> None:
        me = self._me.model_copy(update={"revision": self._applied(), "applied_at": self._applied_at})
        counted = [(record, tally) for record, tally in self._tallies() if tally.matched or tally.denied]
        if full:
            # At another revision the store may be another one, which knows nothing.
            told = self._reported if me.revision == self._reported_revision else {}
            current = {tally_key(record): dump_counts(tally) for record, tally in counted}
            changed = {fault: text for fault, text in current.items() if told.get(fault) != text}
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
            if full:  # not before: a report that was broken off has told nobody
                self._reported, self._reported_revision = current, me.revision
