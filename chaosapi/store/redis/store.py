"""The store of many machines: every change is made by one script, and announced to all."""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Final

from chaosapi.errors import ChaosError, StoreUnavailable, StoreUnreadable
from chaosapi.faults.state import AuditEntry, Change, Halt, State
from chaosapi.logger import get_logger
from chaosapi.models import MAX_REVISION
from chaosapi.store.codec import AUDIT, AUDIT_SIZE, UNREADABLE, forgotten, read_entries, write
from chaosapi.store.lease import reason_to_end
from chaosapi.store.redis import recovery
from chaosapi.store.redis.announcement import Announcement
from chaosapi.store.redis.audit_cache import bounded, revision
from chaosapi.store.redis.client import connect
from chaosapi.store.redis.clock import SharedClock
from chaosapi.store.redis.condition import Condition
from chaosapi.store.redis.errors import AWAY, PATIENCE, is_garbled, translate_errors
from chaosapi.store.redis.local_view import LocalView
from chaosapi.store.redis.records import Records, Version
from chaosapi.store.redis.recovery import Versioned
from chaosapi.store.redis.reports import Reports
from chaosapi.store.redis.subscriber import Subscriber
from chaosapi.store.replica import Replica
from chaosapi.store.snapshot import Listener

_DEADLINE: Final = 1.5
"""Seconds after which Redis itself refuses a change, before its caller gives up."""

log = get_logger("chaosapi.store")


class RedisStore:
    """Keeps everything under `{prefix}:…`; `url` may carry user, password and database, and `rediss://` means TLS."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time, prefix: str = "chaosapi") -> None:
        self._client = connect(url)
        self._prefix = f"{{{prefix}}}"
        # Channels, unlike keys, are the same in all databases of a server.
        channel = self._key("changes", str(self._client.connection_pool.connection_kwargs.get("db") or 0))
        self._clock = SharedClock(clock, time.monotonic)
        self._contents = Records(self._client, self._key, channel, self._clock)
        self.now = self._clock.now
        self._condition = Condition()
        self._known = False
        """Whether this replica has ever seen a state there."""
        self._knowledge = LocalView()
        self.subscribe: Callable[[Listener], None] = self._knowledge.snapshot.subscribe
        self._turn = asyncio.Lock()
        self._reports = Reports(self._client, self._key, self.now)
        self.replicas, self.tallies = self._reports.replicas, self._reports.tallies
        self._follower = Subscriber(self._client, channel, self._look, self._knowledge.heard, self._condition.lost)

    @property
    def up(self) -> bool:
        """Whether it could be read and written last time."""
        return self._condition.up

    async def start(self) -> None:
        """Read the state, and go on listening; a store that is away is tried again and again.

        A state that nobody can read, and faults that must not go on, are ended.
        """
        try:
            await self._look()
        except AWAY as error:
            self._condition.reached = True  # so that the log says once that it is away
            self._condition.lost(error)
        self._follower.start()

    async def close(self) -> None:
        """Hang up."""
        await self._follower.stop()
        await self._client.aclose()

    async def apply(self, change: Change, entry: AuditEntry) -> State:
        """Make one change: compute it here, and let Redis swap the states if nobody else did meanwhile."""
        hint = "unless it is in the audit when the store is back, nothing was changed"
        async with translate_errors(hint, self._condition.refused), self._turn:
            return await self._made(change, entry)

    async def _made(self, change: Change, entry: AuditEntry) -> State:
        started = self._clock.local()
        timely = self._clock.known
        if not self.up:
            await self._refresh()
        if not timely:
            raise StoreUnavailable("the store was not reached before, so its time was not known: ask again")
        deadline = self.now() + _DEADLINE - (self._clock.local() - started)
        fresh = False
        while True:
            before = self._knowledge.version
            known = before.held.state
            try:
                state = change(known)
            except ChaosError:
                if fresh:
                    raise
                state = known
            if state.revision != known.revision:
                if await self._swap(before, state, entry.signed(state), deadline):
                    return state
                await self._contents.holds(before)  # meanwhile arrives what the faster one announced
                if self._knowledge.version.mark != before.mark:
                    continue
            elif fresh:
                return state
            await self._refresh()  # what this replica knew may have been old
            fresh = True

    async def reset(self, entry: AuditEntry, halt: Halt | None) -> State:
        """Write a state without faults over whatever is there, which is kept under other keys for a week."""
        async with translate_errors(refused=self._condition.refused), self._turn:
            return await self._overwritten(entry, halt)

    async def refresh(self) -> State:
        """Read the state now."""
        async with translate_errors(), self._turn:
            await self._refresh()
        return self._knowledge.state

    async def report(self, replica: Replica, tallies: Mapping[str, str], *, leaving: bool = False) -> None:
        """Note a sign of life of a replica, or that it leaves, and what its faults did."""
        try:
            await self._reports.report(replica, tallies, leaving=leaving)
            if self._known:  # who has not seen the state can't vouch for it
                async with translate_errors():
                    await self._contents.renew(replica.revision)
        except StoreUnreadable:
            raise
        except StoreUnavailable as error:
            self._condition.refused(error)
            raise
        self._condition.writable = True

    async def audit(self, limit: int, before: int | None = None) -> list[AuditEntry]:
        """Return the latest entries, newest first; while the store is away, those that this replica knows."""
        lines = [
            line
            for line in self._knowledge.audit.newest()
            if before is None or ((number := revision(line)) is not None and number < before)
        ][:limit]
        if self._condition.reached:
            try:
                async with asyncio.timeout(PATIENCE):
                    found = self._contents.lines(limit) if before is None else self._contents.page(limit, before)
                    lines = await found
            except AWAY as error:
                if not is_garbled(error):
                    self._condition.lost(error)
        return await asyncio.to_thread(lambda: read_entries(map(recovery.entry_text, lines)))

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    async def _swap(self, before: Version, state: State, entry: AuditEntry, deadline: float) -> bool:
        """Let Redis replace `before` by `state`; False where somebody else was faster."""
        known = before.held.state
        line = recovery.audit_line(entry)
        after = Version(Versioned(before.held.epoch or secrets.token_hex(8), state), line.partition(" ")[0])
        about = {"epoch": after.held.epoch, "version": after.word, "follows": before.word, "line": line}
        news = write(Announcement.of(known, state, **about))
        done = await self._contents.change(before, after, line, news, forgotten(known, state), deadline)
        if done:
            self._condition.written()
            self._knowledge.take(after, line)
        return done

    async def _overwritten(self, entry: AuditEntry, halt: Halt | None) -> State:
        """Let Redis replace what nobody can read by a state without faults."""
        above: int | None = self._knowledge.state.revision
        while above is not None:
            state = State(revision=min(above + 1, MAX_REVISION), halt=halt)
            after = Version(Versioned(secrets.token_hex(8), state), secrets.token_hex(8))
            line = recovery.audit_line(entry.signed(state))
            above = await self._contents.reset(after, line)
        self._condition.written()
        self._knowledge.take(after, line)
        await self._knowledge.give_back(self._contents)
        return state

    async def _look(self) -> None:
        async with asyncio.timeout(PATIENCE), self._turn:
            await self._refresh()

    async def _refresh(self) -> None:
        """Read the store, and heal it where it knows less than this replica, or where its faults must not go on."""
        was = self.up
        try:
            while not await self._caught_up():
                pass
        except AWAY as error:
            if not is_garbled(error) and not isinstance(error, StoreUnreadable):
                raise
            unreadable = StoreUnreadable(f"{UNREADABLE}: {error}")
            if self._known:
                self._condition.lost(unreadable)
                raise unreadable from error
            await self._overwritten(recovery.recovery_entry(self._knowledge.state, self.now(), UNREADABLE), None)
            log.warning("all faults in the store are ended", reason=str(error))
        self._condition.reached = self._known = True
        if not was and self.up:
            log.info("the store is there", revision=self._knowledge.state.revision)

    async def _caught_up(self) -> bool:
        """Take over what there is, or put something else in its place; False where another was faster."""
        known = self._knowledge.version
        before = known.held
        if await self._contents.holds(known) and not self._condition.garbled:
            return True
        theirs = await self._contents.read()
        found = theirs.held.state
        reason = None if self._known else await self._doubt(found)
        if reason:
            return await self._heal(theirs, recovery.all_ended(found, self.now(), recovery.revision_leap()), reason)
        if mended := recovery.recovered_state(before, theirs.held, self.now(), recovery.revision_leap()):
            return await self._heal(theirs, mended, recovery.REASON)
        if before.epoch and theirs.held.epoch != before.epoch:
            await self._knowledge.give_back(self._contents)
        else:
            await self._knowledge.recall(self._contents, found.revision - before.state.revision)
        self._condition.garbled = False
        self._knowledge.take(theirs)
        return True

    async def _doubt(self, found: State) -> str | None:
        """Say why faults that this replica finds at its start may not go on."""
        if not found.live(self.now()):
            return None
        mark, server = await self._contents.lease()
        return reason_to_end(mark if server else None, found.revision, self.now(), server)

    async def _heal(self, theirs: Version, state: State, reason: str) -> bool:
        """Write a healed state, and an audit with what only this replica remembers; False where another was faster."""
        after = Version(Versioned(secrets.token_hex(8), state), secrets.token_hex(8))
        ended = theirs.held.epoch in ("", self._knowledge.version.held.epoch) or not self._known
        new = [recovery.audit_line(recovery.recovery_entry(state, self.now(), reason))] if ended else []
        lines = recovery.merge_audits(new, await self._contents.lines(AUDIT), self._knowledge.audit.newest())
        audit = bounded(lines, AUDIT, AUDIT_SIZE)
        done = await self._contents.heal(theirs, after, audit)
        if done:
            log.warning("healed the store", reason=reason, revision=state.revision, had=theirs.held.state.revision)
            self._condition.written()
            self._knowledge.audit.add(audit)
            self._knowledge.take(after)
        return done
