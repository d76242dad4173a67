"""What Redis holds of ours: keys, and the scripts that change them in one step."""

from collections.abc import Callable, Collection, Sequence
from typing import Final, NamedTuple

from redis.asyncio import Redis

from chaosapi.errors import StoreUnreadable
from chaosapi.faults.state import State
from chaosapi.store.codec import (
    LARGE_ENTRY_BYTES,
    MAX_AUDIT_BYTES,
    MAX_AUDIT_ENTRIES,
    UNREADABLE,
    read_state,
    write_state,
)
from chaosapi.store.lease import Lease
from chaosapi.store.redis.clock import SharedClock
from chaosapi.store.redis.errors import is_unreadable
from chaosapi.store.redis.recovery import EpochState
from chaosapi.store.redis.scripts import AUDIT_PAGE, HEAL, RENEW_LEASE, RESET, RESTORE_AUDIT, SWAP

_UNREADABLE_TTL_S: Final = 7 * 86400
"""Seconds for which something that could not be read is kept under `unreadable`."""


class Version(NamedTuple):
    """A state, and the random word that tells it from all others."""

    content: EpochState
    token: str

    @property
    def identity(self) -> tuple[str, int, str]:
        """Return what a script compares."""
        return *self.content.version, self.token


class Records:
    """Reads and writes all but the reports; `key` names the keys. Raises what redis-py does, and StoreUnreadable."""

    def __init__(self, client: Redis, key: Callable[..., str], channel: str, clock: SharedClock) -> None:
        self._client = client
        self._key = key
        self._channel = channel
        self._clock = clock
        self._change, self._heal, self._reset, self._put_back, self._renew, self._page = map(
            client.register_script, (SWAP, HEAL, RESET, RESTORE_AUDIT, RENEW_LEASE, AUDIT_PAGE)
        )

    async def is_current(self, known: Version) -> bool:
        """Tell whether it still holds the version, and set the clock by it."""
        asked = self._clock.local()
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.hmget(self._key("state"), "epoch", "revision", "version")
                time, found = await pipe.execute(raise_on_error=False)
        except UnicodeDecodeError as error:
            asked = self._clock.local()
            time = await self._client.time()
            found = error
        for answer in (time, found):
            if isinstance(answer, Exception) and not is_unreadable(answer):
                raise answer
        self._clock.synchronize(asked, time[0] + time[1] / 1e6, self._clock.local())
        return bool(found == [str(each) if each else None for each in known.identity])

    async def read(self) -> Version:
        """Return what is stored; raises StoreUnreadable where that is not what a script of ours wrote."""
        fields = await self._client.hmget(self._key("state"), "epoch", "version", "revision", "state")
        epoch, word, revision, text = (None if field is None else str(field) for field in fields)
        state = State() if text is None else read_state(text)
        if (revision or "0") != str(state.revision):
            raise StoreUnreadable(f"{UNREADABLE}: its revision is {state.revision}, not {revision}")
        return Version(EpochState(epoch or "", state), word or "")

    async def read_audit(self, limit: int) -> list[str]:
        """Return the latest lines of the audit, newest first."""
        return [str(line) for line in await self._client.lrange(self._key("audit"), 0, limit - 1)]

    async def read_audit_page(self, limit: int, before: int) -> list[str]:
        """Return the latest lines of the audit, newest first, of the revisions before one."""
        return [str(line) for line in await self._page(keys=self._keys("audit"), args=[limit, before])]

    async def swap(
        self, before: Version, after: Version, line: str, message: str, forgotten: Collection[str], deadline: float
    ) -> bool:
        """Swap two versions; False where somebody else was faster. Raises TimeoutError past the deadline."""
        tallies = (self._key("tally", fault) for fault in forgotten)
        answer = await self._change(
            keys=[*self._keys("state", "audit", "lease"), *tallies],
            args=[
                *before.identity,
                *after.identity,
                write_state(after.content.state),
                line,
                MAX_AUDIT_ENTRIES,
                deadline,
                self._channel,
                message,
                MAX_AUDIT_BYTES,
                LARGE_ENTRY_BYTES,
            ],
        )
        if answer == "late":
            raise TimeoutError
        return bool(answer == "done")

    async def heal(self, before: Version, after: Version, audit: Sequence[str]) -> bool:
        """Swap two versions, and the whole audit; False where somebody else was faster."""
        answer = await self._heal(
            keys=self._keys("state", "audit", "lease"),
            args=[*before.identity, *after.identity, write_state(after.content.state), self._channel, *audit],
        )
        return bool(answer == "done")

    async def reset(self, after: Version, line: str) -> int | None:
        """Write a version over whatever is there; return the revision that is there where it is not a lower one."""
        answer = await self._reset(
            keys=self._keys("state", "audit", "lease", "unreadable:state", "unreadable:audit"),
            args=[*after.identity, write_state(after.content.state), line, self._channel, _UNREADABLE_TTL_S],
        )
        return None if answer == "done" else int(answer)

    async def restore_audit(self, lines: Sequence[str]) -> None:
        """Put lines into the audit, each at its place."""
        await self._put_back(keys=self._keys("audit"), args=[MAX_AUDIT_ENTRIES, MAX_AUDIT_BYTES, *lines])

    async def renew_lease(self, revision: int) -> None:
        """Note that somebody lives who has seen the state, and how far that is."""
        await self._renew(keys=self._keys("lease"), args=[revision])

    async def read_lease(self) -> tuple[Lease | None, str]:
        """Return what was noted last, if anything was, and which server it is now; empty where that is a secret."""
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.hmget(self._key("lease"), "revision", "seen", "server")
            pipe.info("server")
            noted, server = await pipe.execute(raise_on_error=False)
        current = server.get("run_id", "") if isinstance(server, dict) else ""
        try:
            return Lease(int(noted[0]), float(noted[1]), noted[2]), current
        except (TypeError, ValueError, IndexError):
            return None, current

    def _keys(self, *names: str) -> list[str]:
        return [self._key(name) for name in names]
