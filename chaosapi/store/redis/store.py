"""The store of many machines: every change is made by one script, and announced to all."""

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import Final

import structlog

from chaosapi.errors import ChaosError, StoreUnavailable
from chaosapi.state import AuditEntry, Change, State
from chaosapi.store.codec import AUDIT, forgotten, read, write, write_state
from chaosapi.store.redis import healing
from chaosapi.store.redis.announcement import Announcement
from chaosapi.store.redis.client import connected
from chaosapi.store.redis.clock import SharedClock
from chaosapi.store.redis.follower import Follower
from chaosapi.store.redis.healing import Held
from chaosapi.store.redis.reach import AWAY, PATIENCE, reaching
from chaosapi.store.redis.reports import Reports
from chaosapi.store.redis.scripts import CHANGE, HEAL
from chaosapi.store.snapshot import Listener, Snapshot

_DEADLINE: Final = 1.5
"""Seconds after which Redis itself refuses a change, before its caller gives up."""
_REMEMBERED: Final = 1000
"""Entries of the audit that each replica keeps, to show them while the store is away and to put them back."""
_RECENT: Final = 16
"""Entries among which one that is just being written is found."""

log = structlog.stdlib.get_logger("chaosapi.store")


class RedisStore:
    """Keeps everything under `{prefix}:…`; `url` may carry user, password and database, and `rediss://` means TLS."""

    def __init__(self, url: str, clock: Callable[[], float] = time.time, prefix: str = "chaosapi") -> None:
        self._client = connected(url)
        self._prefix = f"{{{prefix}}}"
        # Channels, unlike keys, are the same in all databases of a server.
        self._channel = f"{self._prefix}:changes:{self._client.connection_pool.connection_kwargs.get('db') or 0}"
        self._change, self._heal = self._client.register_script(CHANGE), self._client.register_script(HEAL)
        self._clock = SharedClock(clock)
        self.now = self._clock.now
        self.up = False
        self._snapshot = Snapshot()
        self.subscribe: Callable[[Listener], None] = self._snapshot.subscribe
        self._epoch = self._version = ""
        self._audit: list[str] = []
        self._turn = asyncio.Lock()
        reports = Reports(self._client, self._key, self.now)
        self.report, self.replicas, self.tallies = reports.report, reports.replicas, reports.tallies
        self._follower = Follower(self._client, self._channel, self._look, self._heard, self._lost)

    async def start(self) -> None:
        """Read the state, and go on listening; a store that is away is tried again and again."""
        try:
            await self._look()
        except AWAY as error:
            self.up = True  # so that the log says once that it is away
            self._lost(error)
        self._follower.start()

    async def close(self) -> None:
        """Hang up."""
        await self._follower.stop()
        await self._client.aclose()

    async def apply(self, change: Change, entry: AuditEntry) -> State:
        """Make one change: compute it here, and let Redis swap the states if nobody else did meanwhile."""
        async with reaching("unless it is in the audit when the store is back, nothing was changed"), self._turn:
            started = self._clock.local()
            timely = self._clock.known
            if not self.up:
                await self._refresh()
            if not timely:
                raise StoreUnavailable("the store was not reached before, so its time was not known: ask again")
            deadline = self.now() + _DEADLINE - (self._clock.local() - started)
            fresh = False
            while True:
                before = self._held
                try:
                    state = change(before.state)
                except ChaosError:
                    if fresh:
                        raise
                    state = before.state
                if state.revision != before.state.revision:
                    if await self._swap(before, state, entry.signed(state), deadline):
                        return state
                    await self._same()  # meanwhile arrives what the faster one announced
                    if self._held.mark != before.mark:
                        continue
                elif fresh:
                    return state
                await self._refresh()  # what this replica knew may have been old
                fresh = True

    async def audit(self, limit: int) -> list[AuditEntry]:
        """Return the latest entries, newest first; while the store is away, those that this replica knows."""
        lines = self._audit[:limit]
        if self.up:
            try:
                async with asyncio.timeout(PATIENCE):
                    lines = await self._lines(limit)
            except AWAY as error:
                self._lost(error)
        return [healing.entry_of(line) for line in lines]

    @property
    def _held(self) -> Held:
        return Held(self._epoch, self._snapshot.state)

    def _key(self, *parts: str) -> str:
        return ":".join((self._prefix, *parts))

    async def _swap(self, before: Held, state: State, entry: AuditEntry, deadline: float) -> bool:
        """Let Redis replace `before` by `state`; False where somebody else was faster."""
        after = Held(before.epoch or secrets.token_hex(8), state)
        line = healing.line(entry)
        version, known = line.partition(" ")[0], self._version
        news = Announcement.of(before.state, state, epoch=after.epoch, version=version, follows=known, line=line)
        answer = await self._change(
            keys=[
                self._key("state"),
                self._key("audit"),
                *(self._key("tally", fault) for fault in forgotten(before.state, state)),
            ],
            args=[
                *before.mark,
                known,
                *after.mark,
                version,
                write_state(state),
                line,
                AUDIT,
                deadline,
                self._channel,
                write(news),
            ],
        )
        if answer == "late":
            raise TimeoutError
        if answer == "done":
            self._take(after, version, line)
        return bool(answer == "done")

    async def _look(self) -> None:
        async with asyncio.timeout(PATIENCE), self._turn:
            await self._refresh()

    async def _refresh(self) -> None:
        """Read the store, and heal it where it knows less than this replica."""
        while True:
            before = self._held
            if await self._same():
                break
            theirs, version = await self._read()
            if (state := healing.healed(before, theirs, self.now())) is None:
                missed = theirs.state.revision - before.state.revision
                self._audit = await self._recalled(missed if theirs.epoch == before.epoch else _REMEMBERED)
                self._take(theirs, version)
                break
            if await self._put_back(theirs, version, state, await self._lines(AUDIT)):
                break
        if not self.up:
            log.info("the store is there", revision=self._snapshot.state.revision)
        self.up = True

    async def _same(self) -> bool:
        """Ask whether Redis still holds what this replica knows, and what time it is there."""
        asked = self._clock.local()
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.time()
            pipe.hmget(self._key("state"), "epoch", "revision", "version")
            (seconds, micros), (epoch, revision, version) = await pipe.execute()
        self._clock.learn(asked, seconds + micros / 1e6, self._clock.local())
        return (epoch or "", int(revision or 0), version or "") == (*self._held.mark, self._version)

    async def _read(self) -> tuple[Held, str]:
        epoch, version, text = (
            str(field or "") for field in await self._client.hmget(self._key("state"), "epoch", "version", "state")
        )
        return Held(epoch, read(State, text) if text else State()), version

    async def _lines(self, limit: int) -> list[str]:
        return [str(line) for line in await self._client.lrange(self._key("audit"), 0, limit - 1)]

    async def _recalled(self, missed: int) -> list[str]:
        """Return what is to be remembered of the audit; only what was missed is read, if that tells."""
        new = await self._lines(min(missed + _RECENT, _REMEMBERED))
        if missed >= _REMEMBERED:
            return new
        known, mine = set(new), self._audit
        last = next((place for place, line in enumerate(mine) if line in known), None)
        if last is None:
            return await self._lines(_REMEMBERED)
        # What stands before it was heard since.
        return [*mine[:last], *new, *(line for line in mine[last:] if line not in known)][:_REMEMBERED]

    async def _put_back(self, theirs: Held, known: str, state: State, lines: list[str]) -> bool:
        """Write a healed state, and an audit with what only this replica remembers; False where another was faster."""
        after, version = Held(secrets.token_hex(8), state), secrets.token_hex(8)
        ended = theirs.epoch in ("", self._epoch)
        new = [healing.line(healing.entry(state, self.now()))] if ended else []
        audit = healing.merged(new, lines, self._audit)[:AUDIT]
        answer = await self._heal(
            keys=[self._key("state"), self._key("audit")],
            args=[*theirs.mark, known, *after.mark, version, write_state(state), self._channel, *audit],
        )
        if answer == "done":
            log.warning("healed a store that had lost changes", revision=state.revision, had=theirs.state.revision)
            self._audit = audit[:_REMEMBERED]
            self._take(after, version)
        return bool(answer == "done")

    def _take(self, held: Held, version: str, line: str = "") -> None:
        if held.state.revision > self._snapshot.state.revision or not self._epoch:
            self._epoch = held.epoch
            if line and line not in self._audit[:_RECENT]:
                self._audit = [line, *self._audit[: _REMEMBERED - 1]]
            self._snapshot.take(held.state)
        if held == self._held:
            self._version = version

    def _heard(self, message: str) -> bool:
        """Take over what was announced; False where it does not follow what this replica knows."""
        if not message:
            return False  # healed, and not told how
        news = read(Announcement, message)
        if news.follows == self._version:
            self._take(Held(news.epoch, news.made(self._snapshot.state)), news.version, news.line)
        return news.epoch == self._epoch and news.revision <= self._snapshot.state.revision

    def _lost(self, error: BaseException) -> None:
        if self.up:
            log.warning("the store is away; going on with what is known", reason=str(error) or type(error).__name__)
        self.up = False
