"""The store for several machines: one Lua script makes each change and announces it to all replicas."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

from chaosapi.errors import ChaosError, StoreUnavailable, StoreUnreadable
from chaosapi.faults.changes import Change
from chaosapi.faults.state import Applied, AuditEntry, Halt, State
from chaosapi.logger import get_logger
from chaosapi.models import MAX_REVISION
from chaosapi.store.codec import MAX_AUDIT_BYTES, MAX_AUDIT_ENTRIES, UNREADABLE, dropped_tallies, read_entries, write
from chaosapi.store.lease import reason_to_end
from chaosapi.store.redis import recovery
from chaosapi.store.redis.announcement import Announcement
from chaosapi.store.redis.audit_cache import line_revision, trim
from chaosapi.store.redis.availability import Availability
from chaosapi.store.redis.client import connect
from chaosapi.store.redis.clock import SharedClock
from chaosapi.store.redis.errors import CALL_TIMEOUT_S, UNAVAILABLE, is_unreadable, translate_errors
from chaosapi.store.redis.local_view import LocalView
from chaosapi.store.redis.records import Records, Transition, Version
from chaosapi.store.redis.recovery import EpochState
from chaosapi.store.redis.reports import Reports
from chaosapi.store.redis.subscriber import Subscriber
from chaosapi.store.replica import Replica
from chaosapi.store.snapshot import Listener

_CHANGE_TIMEOUT_S: Final = 1.5
"""After this Redis refuses the change; shorter than the caller's time-out."""

log = get_logger("chaosapi.store")


class RedisStore:
    """Keeps everything under `{prefix}:…`; `url` may contain user, password and database, `rediss://` means TLS."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time, prefix: str = "chaosapi") -> None:
        self._client = connect(url)
        self._prefix = f"{{{prefix}}}"
        # All databases of a server share the names of channels, unlike those of keys.
        channel = self._key("changes", str(self._client.connection_pool.connection_kwargs.get("db") or 0))
        self._clock = SharedClock(clock, time.monotonic)
        self._records = Records(self._client, self._key, channel, self._clock)
        self.now = self._clock.now
        self._availability = Availability()
        self._state_seen = False
        """Whether this replica has ever read the state."""
        self._view = LocalView()
        self.subscribe: Callable[[Listener], None] = self._view.snapshot.subscribe
        self._lock = asyncio.Lock()
        self._reports = Reports(self._client, self._key, self.now)
        self.replicas = self._reports.replicas
        self.tallies = self._reports.tallies
        self._subscriber = Subscriber(
            self._client, channel, self._poll, self._view.apply_message, self._availability.record_read_failure
        )

    @property
    def up(self) -> bool:
        """Whether the last read and the last write succeeded."""
        return self._availability.up

    async def start(self) -> None:
        """Read the state and subscribe to changes; a store that is away is retried in the background.

        An unreadable state is replaced by one without faults; faults that must not continue are ended.
        """
        try:
            await self._poll()
        except UNAVAILABLE as error:
            self._availability.reached = True  # so that the failure is logged once
            self._availability.record_read_failure(error)
        self._subscriber.start()

    async def close(self) -> None:
        """Unsubscribe and disconnect."""
        await self._subscriber.stop()
        await self._client.aclose()

    async def apply(self, change: Change, entry: AuditEntry) -> Applied:
        """Make one change: compute the new state here, and compare and swap it in Redis."""
        hint = "if the audit does not show the change when the store is back, nothing was changed"
        async with translate_errors(hint, self._availability.record_write_failure), self._lock:
            return await self._apply(change, entry)

    async def _apply(self, change: Change, entry: AuditEntry) -> Applied:
        started = self._clock.local()
        timely = self._clock.synchronized
        if not self.up:
            await self._synchronize()
        if not timely:
            raise StoreUnavailable("the store was not reached before, so its time was not known: try again")
        deadline = self.now() + _CHANGE_TIMEOUT_S - (self._clock.local() - started)
        fresh = False
        while True:
            before = self._view.version
            known = before.content.state
            try:
                state = change(known)
            except ChaosError:
                if fresh:
                    raise
                state = known
            if state.revision != known.revision:
                if await self._swap(before, state, entry.signed(state), deadline):
                    return Applied(known, state)
                await self._records.is_current(before)  # meanwhile the faster replica's announcement arrives
                if self._view.version.identity != before.identity:
                    continue
            elif fresh:
                return Applied(known, state)
            await self._synchronize()  # this replica's state may be stale
            fresh = True

    async def reset(self, entry: AuditEntry, halt: Halt | None) -> State:
        """Overwrite the store with a state without faults; the old content is kept under other keys for a week."""
        async with translate_errors(on_error=self._availability.record_write_failure), self._lock:
            return await self._overwrite(entry, halt)

    async def refresh(self) -> State:
        async with translate_errors(), self._lock:
            await self._synchronize()
        return self._view.state

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        """Write a heartbeat, or the replica's leave, and its tallies; renew the lease."""
        try:
            await self._reports.report(replica, tallies, leaving=leaving)
            if self._state_seen:  # a replica that never read the state cannot vouch for it
                async with translate_errors():
                    await self._records.renew_lease(replica.revision)
        except StoreUnreadable:
            raise
        except StoreUnavailable as error:
            self._availability.record_write_failure(error)
            raise
        self._availability.writable = True

    async def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """Return the latest entries, newest first; while the store is away, the cached ones."""
        lines = [
            line
            for line in self._view.audit.newest()
            if before is None or ((number := line_revision(line)) is not None and number < before)
        ][:limit]
        if self._availability.reached:
            try:
                async with asyncio.timeout(CALL_TIMEOUT_S):
                    found = (
                        self._records.read_audit(limit)
                        if before is None
                        else self._records.read_audit_page(limit, before)
                    )
                    lines = await found
            except UNAVAILABLE as error:
                if not is_unreadable(error):
                    self._availability.record_read_failure(error)
        return await asyncio.to_thread(lambda: read_entries(map(recovery.entry_text, lines)))

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    async def _swap(self, before: Version, state: State, entry: AuditEntry, deadline: float) -> bool:
        """Let Redis replace `before` by `state`; return False if another replica was faster."""
        known = before.content.state
        line = recovery.audit_line(entry)
        after = Version(EpochState(before.content.epoch or secrets.token_hex(8), state), line.partition(" ")[0])
        about = {"epoch": after.content.epoch, "version": after.token, "follows": before.token, "line": line}
        announcement = write(Announcement.of(known, state, **about))
        transition = Transition(before, after, line, announcement, dropped_tallies(known, state))
        done = await self._records.swap(transition, deadline)
        if done:
            self._availability.record_write()
            self._view.update(after, line)
        return done

    async def _overwrite(self, entry: AuditEntry, halt: Halt | None) -> State:
        above: int | None = self._view.state.revision
        while above is not None:
            state = self._view.state.emptied(min(above + 1, MAX_REVISION), halt)
            after = Version(EpochState(secrets.token_hex(8), state), secrets.token_hex(8))
            line = recovery.audit_line(entry.signed(state))
            above = await self._records.reset(after, line)
        self._availability.record_write()
        self._view.update(after, line)
        await self._view.restore_audit(self._records)
        return state

    async def _poll(self) -> None:
        async with asyncio.timeout(CALL_TIMEOUT_S), self._lock:
            known = len(self._view.audit)
            await self._synchronize()
            await self._view.keep_audit(self._records, known)

    async def _synchronize(self) -> None:
        """Read the store; heal it if it has lost changes, and end its faults if they must not continue."""
        was = self.up
        try:
            while not await self._try_to_synchronize():
                pass
        except UNAVAILABLE as error:
            if not is_unreadable(error) and not isinstance(error, StoreUnreadable):
                raise
            unreadable = StoreUnreadable(f"{UNREADABLE}: {error}")
            if self._state_seen:
                self._availability.record_read_failure(unreadable)
                raise unreadable from error
            await self._overwrite(recovery.recovery_entry(self._view.state, self.now(), UNREADABLE), None)
            log.warning("all faults in the store are ended", reason=str(error))
        self._availability.reached = True
        self._state_seen = True
        if not was and self.up:
            log.info("the store is back", revision=self._view.state.revision)

    async def _try_to_synchronize(self) -> bool:
        """Take over the stored state, or replace it; return False if another replica was faster."""
        known = self._view.version
        before = known.content
        if await self._records.is_current(known) and not self._availability.unreadable:
            return True
        stored = await self._records.read()
        found = stored.content.state
        reason = None if self._state_seen else await self._reason_to_end(found)
        if reason:
            return await self._heal(stored, recovery.ended_state(found, self.now(), recovery.revision_leap()), reason)
        if recovered := recovery.recovered_state(before, stored.content, self.now(), recovery.revision_leap()):
            return await self._heal(stored, recovered, recovery.LOST_CHANGES)
        if before.epoch and stored.content.epoch != before.epoch:
            await self._view.restore_audit(self._records)
        else:
            await self._view.cache_audit(self._records, found.revision - before.state.revision)
        self._availability.unreadable = False
        self._view.update(stored)
        return True

    async def _reason_to_end(self, found: State) -> str | None:
        """Return why the faults that are found at startup must end; None if they may continue."""
        if not found.live(self.now()):
            return None
        mark, server = await self._records.read_lease()
        return reason_to_end(mark if server else None, found.revision, self.now(), server)

    async def _heal(self, stored: Version, state: State, reason: str) -> bool:
        """Write a healed state and the merged audits of store and replica; return False if another was faster."""
        after = Version(EpochState(secrets.token_hex(8), state), secrets.token_hex(8))
        ended = stored.content.epoch in ("", self._view.version.content.epoch) or not self._state_seen
        new = [recovery.audit_line(recovery.recovery_entry(state, self.now(), reason))] if ended else []
        lines = recovery.merge_audits(new, await self._records.read_audit(MAX_AUDIT_ENTRIES), self._view.audit.newest())
        audit = trim(lines, MAX_AUDIT_ENTRIES, MAX_AUDIT_BYTES)
        done = await self._records.heal(stored, after, audit)
        if done:
            log.warning("healed the store", reason=reason, revision=state.revision, had=stored.content.state.revision)
            self._availability.record_write()
            self._view.audit.add(audit)
            self._view.update(after)
        return done
