"""The kill switch and the halt: they end all faults whatever the store holds, and whether it answers or not.

This replica's faults end first, without a look at the store; so do those of the other workers of the service. Then the
store is told: by an ordinary change, or where its state cannot be read, by writing an empty one over it. A store that
does not answer is tried again until it has the change; meanwhile this replica acts as if it had.
"""

import asyncio
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Final, NamedTuple

from chaosapi.errors import StoreUnavailable, StoreUnreadable
from chaosapi.faults import changes
from chaosapi.faults.state import Action, AuditEntry, Halt, State
from chaosapi.injection.engine import Engine
from chaosapi.logger import get_logger
from chaosapi.runtime.kill_flags import KillFlag, KillFlags
from chaosapi.store import Store

_ANSWER_WITHIN_S: Final = 0.15
"""Seconds that the store has before the caller is answered; it goes on in the background."""
_STORED_WITHIN_S: Final = 2.0
"""Seconds that an ordinary change waits for a kill switch to be stored before it."""
_STORED_POLL_S: Final = 0.01
"""Seconds between two looks whether it is."""
_FIRST_RETRY_S: Final = 0.05
_LONGEST_RETRY_S: Final = 1.0
"""Seconds before the store is tried again, doubled each time up to this."""
_CLOSE_WITHIN_S: Final = 0.5
"""Seconds to store what is pending when the service stops."""
_FLAGS_POLL_S: Final = 0.05
"""Seconds between two looks for what other workers were told."""
_MAX_PENDING_CALLS: Final = 100
"""Calls that wait for the store at most; older ones are covered by later ones, and miss in the audit only."""

log = get_logger("chaosapi.runtime.kill_switch")


class StopResult(NamedTuple):
    """What a call did."""

    ended: int
    """How many faults were live."""
    state: State
    stored: bool
    """Whether the store has it."""


class _PendingCall:
    """One call, as the store is to be told of it."""

    def __init__(self, entry: AuditEntry, halt: Halt | None, made_by: float) -> None:
        self.entry = entry
        self.halt = halt
        self._made_by = made_by
        self.ended = 0
        self.state: State | None = None
        self.tried = asyncio.Event()
        """Whether the store has taken it, or refused it once."""
        self.retried = False
        """Whether the store was tried before: by now others may have made faults that are not meant."""

    def change(self, state: State) -> State:
        """End what is live, or was live at the time of the call."""
        at = self.entry.at
        self.ended = len(state.live(at))
        if self.halt:
            return changes.halt(self.halt.reason, at)(state)
        return changes.end_all(at, self._made_by if self.retried else math.inf)(state)


class KillSwitch:
    """Ends all faults, and keeps them ended until the store has heard of it.

    `apply` takes over a state to act on. Everything but the watching of the alarm runs in the store's event loop.
    """

    def __init__(self, store: Store, engine: Engine, apply: Callable[[State], None], flags: KillFlags | None) -> None:
        self._store = store
        self._engine = engine
        self._apply = apply
        self._shared = flags is not None
        self._flags = flags or KillFlags.private()
        self._stored = State()
        self._calls: deque[_PendingCall] = deque()
        self._retry_now = asyncio.Event()
        self._storing: asyncio.Task[None] | None = None
        self._closing = threading.Event()
        self._watcher: threading.Thread | None = None

    def apply_stored(self, state: State) -> None:
        """Take over a state from the store; a listener of it."""
        self._stored = state
        self._apply(self._with_pending_calls(state))

    def start(self) -> None:
        """Begin to watch the other workers, and go on with what a predecessor could not store any more."""
        self._closing.clear()
        cell = self._flags.own
        if cell.calls and cell.pending:
            halt = Halt(since=cell.at, reason="") if cell.halted else None
            action: Action = "halt" if halt else "end_all"
            entry = AuditEntry(
                at=cell.at, actor="killswitch", action=action, reason="a worker ended before it stored it"
            )
            self._enqueue(_PendingCall(entry, halt, cell.made_by))
        if self._shared:
            loop = asyncio.get_running_loop()
            self._watcher = threading.Thread(target=self._watch_flags, args=[loop], name="chaosapi-alarm", daemon=True)
            self._watcher.start()
        self.apply_stored(self._stored)

    async def close(self) -> None:
        """Try for the last time to store what is pending."""
        self._closing.set()
        if self._storing and not self._storing.done():
            self._retry_now.set()
            await asyncio.wait([self._storing], timeout=_CLOSE_WITHIN_S)
            self._storing.cancel()
            await asyncio.wait([self._storing])

    def end_here(self, at: float, *, halted: bool) -> float:
        """End every fault of this service, before anything is waited for; `end_all` or `halt` has to follow.

        Returns by when the faults that are meant were made.
        """
        made_by = max([at, *(record.created_at for record in self._engine.state.live(at))])
        self._flags.raise_own(at, made_by, halted=halted)
        self._engine.release(made_by)
        self.apply_stored(self._stored)
        return made_by

    async def end_all(self, entry: AuditEntry) -> StopResult:
        """End every fault. Never raises, and takes no longer than the store is waited for."""
        return await self._stop(entry, None)

    async def halt(self, entry: AuditEntry) -> StopResult:
        """End every fault, and refuse new ones until the halt is lifted; otherwise the same."""
        return await self._stop(entry, Halt(since=entry.at, reason=entry.reason))

    async def wait_until_stored(self) -> None:
        """Return when the store has every call; raises StoreUnavailable where that takes long."""
        due = time.monotonic() + _STORED_WITHIN_S
        self._retry_now.set()
        while self._pending():
            if time.monotonic() > due:
                raise StoreUnavailable("chaos was stopped and the store could not be told yet: no change until it was")
            await asyncio.sleep(_STORED_POLL_S)

    async def _stop(self, entry: AuditEntry, halt: Halt | None) -> StopResult:
        live = self._engine.state.live(entry.at)
        order = _PendingCall(entry, halt, self.end_here(entry.at, halted=halt is not None))
        self._enqueue(order)
        self.apply_stored(self._stored)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await order.tried.wait()
        stored = order.state is not None
        if not stored:
            log.warning("all faults are ended here; the store could not be told yet", action=entry.action)
        return StopResult(max(len(live), order.ended), order.state or self._engine.state, stored)

    def _enqueue(self, order: _PendingCall) -> None:
        self._calls.append(order)
        if len(self._calls) > _MAX_PENDING_CALLS:
            covered = next((each for each in self._calls if not each.halt), self._calls[0])
            self._calls.remove(covered)
        self._retry_now.set()
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_calls())

    async def _store_calls(self) -> None:
        """Store one call after the other."""
        pause = _FIRST_RETRY_S
        while self._calls:
            order = self._calls[0]
            self._retry_now.clear()
            try:
                order.state = await self._store_call(order)
            except StoreUnavailable:
                pass
            except Exception:
                log.exception("the kill switch could not be stored; trying again")
            if order.state is None:
                order.retried = True
                for each in self._calls:
                    each.tried.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._retry_now.wait()
                pause = min(2 * pause, _LONGEST_RETRY_S)
                continue
            pause = _FIRST_RETRY_S
            with suppress(ValueError):
                self._calls.remove(order)
            if not self._calls:
                self._flags.mark_stored(order.state.revision)
                self.apply_stored(self._stored)
            order.tried.set()

    async def _store_call(self, order: _PendingCall) -> State:
        try:
            return await self._store.apply(order.change, order.entry)
        except StoreUnreadable:
            return await self._store.reset(order.entry, order.halt or self._stored.halt)

    def _pending(self) -> bool:
        return any(cell.pending for cell in self._flags.flags())

    def _with_pending_calls(self, state: State) -> State:
        """Return the state as it will be once the store has heard of every kill switch."""
        for cell in self._flags.flags():
            if cell.pending or cell.revision > state.revision:
                state = with_faults_ended(state, cell.at, cell.made_by, self._halt_of(cell))
        return state

    def _halt_of(self, cell: KillFlag) -> Halt | None:
        known = [order.halt for order in self._calls if order.halt]
        if known:
            return known[-1]
        return Halt(since=cell.at, reason="") if cell.halted else None

    def _watch_flags(self, loop: asyncio.AbstractEventLoop) -> None:
        """End what other workers were told to end, also while the event loop stands."""
        seen = self._flags.call_counts()
        while not self._closing.wait(_FLAGS_POLL_S):
            calls = self._flags.call_counts()
            if calls == seen:
                continue
            seen = calls
            for cell in self._flags.flags():
                self._engine.release(cell.made_by)
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(lambda: self.apply_stored(self._stored))


def with_faults_ended(state: State, now: float, made_by: float, stop: Halt | None) -> State:
    """Return the state as a replica must act on it that has stopped chaos and could not store that yet.

    The revision stays, for it is the store's: nothing else may take the result for a stored state.
    """
    faults = tuple(
        record if record.ended_at is not None or record.created_at > made_by else record.ended(now)
        for record in state.faults
    )
    return State(revision=state.revision, faults=faults, halt=stop or state.halt)
