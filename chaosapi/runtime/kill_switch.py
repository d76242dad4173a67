"""The kill switch and the halt: both end all faults, also where the store is unavailable or its state is unreadable.

The faults of this replica and of the other workers of the service end first, without the store. Then the store gets an
ordinary change or, where its state is unreadable, an empty state that replaces it. A write that fails is retried until
it succeeds; meanwhile this service acts as if it had.
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
from chaosapi.faults.state import Action, Applied, AuditEntry, Halt, State
from chaosapi.injection.engine import Engine
from chaosapi.logger import get_logger
from chaosapi.runtime.kill_flags import KillFlag, KillFlags
from chaosapi.store import Store
from chaosapi.store.audit_trail import log_change

_ANSWER_WITHIN_S: Final = 0.15
"""How long the caller waits for the store; afterwards retries go on in the background."""
_STORED_WITHIN_S: Final = 2.0
"""How long an ordinary change waits for an earlier kill switch to be stored."""
_STORED_POLL_S: Final = 0.01
_FIRST_RETRY_S: Final = 0.05
_LONGEST_RETRY_S: Final = 1.0
"""The back-off doubles with each retry, up to this."""
_CLOSE_WITHIN_S: Final = 0.5
"""For the last try when the service stops."""
_FLAGS_POLL_S: Final = 0.05
_MAX_PENDING_CALLS: Final = 100
"""Beyond it the oldest call is dropped: a later call ends the same faults, only the audit lacks the entry."""

log = get_logger("chaosapi.runtime.kill_switch")


class StopResult(NamedTuple):
    """The result of a call."""

    ended: int
    """How many faults were live."""
    state: State
    stored: bool
    """Whether the store has the call."""


class _PendingCall:
    """A call that the store does not have yet."""

    def __init__(self, entry: AuditEntry, halt: Halt | None, created_until: float) -> None:
        self.entry = entry
        self.halt = halt
        self._created_until = created_until
        self.ended = 0
        self.state: State | None = None
        self.tried = asyncio.Event()
        """Set after the first try, whether it succeeded or not."""
        self.retried = False
        """Faults created since the first try are not ended."""

    def change(self, state: State) -> State:
        """End the faults that are live; in a retry, only those that were live at the time of the call."""
        at = self.entry.at
        self.ended = len(state.live(at))
        if self.halt:
            return changes.halt(self.halt.reason, at)(state)
        return changes.end_all(at, self._created_until if self.retried else math.inf)(state)


class KillSwitch:
    """Ends all faults, and keeps them ended until the store has the call.

    `apply` makes the engine act on a state. All but the thread that watches the flags runs in the store's event loop.
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
        """Act on a state from the store; subscribed to the store."""
        self._stored = state
        self._apply(self._with_pending_calls(state))

    def start(self) -> None:
        """Watch the flags of the other workers, and store the pending call of a predecessor in this slot."""
        self._closing.clear()
        flag = self._flags.own
        if flag.calls and flag.pending:
            halt = Halt(since=flag.at, reason="") if flag.halted else None
            action: Action = "halt" if halt else "end_all"
            reason = "a worker ended before it stored it"
            entry = AuditEntry(at=flag.at, actor="killswitch", action=action, reason=reason)
            self._enqueue(_PendingCall(entry, halt, flag.created_until))
        if self._shared:
            loop = asyncio.get_running_loop()
            self._watcher = threading.Thread(
                target=self._watch_flags, args=[loop], name="chaosapi-kill-flags", daemon=True
            )
            self._watcher.start()
        self.apply_stored(self._stored)

    async def close(self) -> None:
        """Try for the last time to store the pending calls."""
        self._closing.set()
        if self._storing and not self._storing.done():
            self._retry_now.set()
            await asyncio.wait([self._storing], timeout=_CLOSE_WITHIN_S)
            self._storing.cancel()
            await asyncio.wait([self._storing])

    def end_here(self, at: float, *, halted: bool) -> float:
        """End every fault of this service at once, without any await; call `end_all` or `halt` next.

        Return the creation time of the latest fault that it ends.
        """
        created_until = max([at, *(record.created_at for record in self._engine.state.live(at))])
        self._flags.raise_own(at, created_until, halted=halted)
        self._engine.release(created_until)
        self.apply_stored(self._stored)
        return created_until

    async def end_all(self, entry: AuditEntry) -> StopResult:
        """End every fault. Never raises, and returns in time also where the store does not reply."""
        return await self._stop(entry, None)

    async def halt(self, entry: AuditEntry) -> StopResult:
        """End every fault, and refuse new ones until the halt is lifted; like `end_all` otherwise."""
        return await self._stop(entry, Halt(since=entry.at, reason=entry.reason))

    async def wait_until_stored(self) -> None:
        """Wait until the store has every call; raises StoreUnavailable after two seconds."""
        due = time.monotonic() + _STORED_WITHIN_S
        self._retry_now.set()
        while self._pending():
            if time.monotonic() > due:
                raise StoreUnavailable("chaos was stopped and the store does not have that yet: no change until it has")
            await asyncio.sleep(_STORED_POLL_S)

    async def _stop(self, entry: AuditEntry, halt: Halt | None) -> StopResult:
        live = self._engine.state.live(entry.at)
        call = _PendingCall(entry, halt, self.end_here(entry.at, halted=halt is not None))
        self._enqueue(call)
        self.apply_stored(self._stored)
        with suppress(TimeoutError):
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                await call.tried.wait()
        stored = call.state is not None
        if not stored:
            log.warning("all faults are ended here, but the store does not have that yet", action=entry.action)
        return StopResult(max(len(live), call.ended), call.state or self._engine.state, stored)

    def _enqueue(self, call: _PendingCall) -> None:
        self._calls.append(call)
        if len(self._calls) > _MAX_PENDING_CALLS:
            covered = next((each for each in self._calls if not each.halt), self._calls[0])
            self._calls.remove(covered)
        self._retry_now.set()
        if self._storing is None or self._storing.done():
            self._storing = asyncio.create_task(self._store_calls())

    async def _store_calls(self) -> None:
        """Store the pending calls in order, with retries."""
        pause = _FIRST_RETRY_S
        while self._calls:
            call = self._calls[0]
            self._retry_now.clear()
            try:
                call.state = await self._store_call(call)
            except StoreUnavailable:
                pass
            except Exception:
                log.exception("the kill switch could not be stored; trying again")
            if call.state is None:
                call.retried = True
                for each in self._calls:
                    each.tried.set()
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause):
                        await self._retry_now.wait()
                pause = min(2 * pause, _LONGEST_RETRY_S)
                continue
            pause = _FIRST_RETRY_S
            with suppress(ValueError):
                self._calls.remove(call)
            if not self._calls:
                self._flags.mark_stored(call.state.revision)
                self.apply_stored(self._stored)
            call.tried.set()

    async def _store_call(self, call: _PendingCall) -> State:
        try:
            applied = await self._store.apply(call.change, call.entry)
        except StoreUnreadable:
            before = self._stored
            applied = Applied(before, await self._store.reset(call.entry, call.halt or before.halt))
        log_change(call.entry, applied)
        return applied.after

    def _pending(self) -> bool:
        return any(flag.pending for flag in self._flags.flags())

    def _with_pending_calls(self, state: State) -> State:
        """Return the state as it will be once the store has every kill switch."""
        for flag in self._flags.flags():
            if flag.pending or flag.revision > state.revision:
                state = with_faults_ended(state, flag.at, flag.created_until, self._halt_of(flag))
        return state

    def _halt_of(self, flag: KillFlag) -> Halt | None:
        known = [call.halt for call in self._calls if call.halt]
        if known:
            return known[-1]
        return Halt(since=flag.at, reason="") if flag.halted else None

    def _watch_flags(self, loop: asyncio.AbstractEventLoop) -> None:
        """Release requests when another worker gets a kill switch, also while the event loop is blocked."""
        seen = self._flags.call_counts()
        while not self._closing.wait(_FLAGS_POLL_S):
            calls = self._flags.call_counts()
            if calls == seen:
                continue
            seen = calls
            for flag in self._flags.flags():
                self._engine.release(flag.created_until)
            with suppress(RuntimeError):  # the loop was closed
                loop.call_soon_threadsafe(lambda: self.apply_stored(self._stored))


def with_faults_ended(state: State, now: float, created_until: float, stop: Halt | None) -> State:
    """Return the state that a replica acts on after a kill switch that is not stored yet.

    The revision stays that of the store. The result is never stored: only the engine sees it.
    """
    faults = tuple(
        record if record.ended_at is not None or record.created_at > created_until else record.ended(now)
        for record in state.faults
    )
    return state.model_copy(update={"faults": faults, "halt": stop or state.halt})
