"""The state, the audit and the lease in Redis: keys, and the Lua scripts that change them atomically."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from redis.asyncio import Redis
from redis.exceptions import ResponseError

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
"""How long unreadable content is kept under `unreadable:…`."""


class Version(NamedTuple):
    """A state in its epoch, and the random token that identifies this stored version."""

    content: EpochState
    token: str

    @property
    def identity(self) -> tuple[str, int, str]:
        """Return the epoch, the revision and the token, which the scripts compare."""
        return self.content.epoch, self.content.state.revision, self.token


@dataclass(frozen=True)
class Transition:
    """A change from one version to the next, with its audit line, its announcement, and the tallies to delete."""

    before: Version
    after: Version
    line: str
    announcement: str
    dropped_tallies: Collection[str]


class Records:
    """Reads and writes all keys but those of reports; `key` makes their names.

    Raises redis-py's errors and StoreUnreadable.
    """

    def __init__(self, client: Redis, key: Callable[..., str], channel: str, clock: SharedClock) -> None:
        self._client = client
        self._key = key
        self._channel = channel
        self._clock = clock
        self._swap = client.register_script(SWAP)
        self._heal = client.register_script(HEAL)
        self._reset = client.register_script(RESET)
        self._restore_audit = client.register_script(RESTORE_AUDIT)
        self._renew_lease = client.register_script(RENEW_LEASE)
        self._audit_page = client.register_script(AUDIT_PAGE)

    async def is_current(self, known: Version) -> bool:
        """Return whether Redis still holds the known version; also synchronize the clock."""
        sent = self._clock.local()
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.time()
                pipe.hmget(self._key("state"), "epoch", "revision", "version")
                time, found = await pipe.execute(raise_on_error=False)
        except UnicodeDecodeError as error:
            sent = self._clock.local()
            time = await self._client.time()
            found = error
        for answer in (time, found):
            if isinstance(answer, Exception) and not is_unreadable(answer):
                raise answer
        self._clock.synchronize(sent, time[0] + time[1] / 1e6, self._clock.local())
        return bool(found == [str(part) if part else None for part in known.identity])

    async def read(self) -> Version:
        """Return the stored version; raises StoreUnreadable for content that our scripts did not write."""
        fields = await self._client.hmget(self._key("state"), "epoch", "version", "revision", "state")
        epoch, token, revision, text = (None if field is None else str(field) for field in fields)
        state = State() if text is None else read_state(text)
        if (revision or "0") != str(state.revision):
            raise StoreUnreadable(f"{UNREADABLE}: its revision is {state.revision}, not {revision}")
        return Version(EpochState(epoch or "", state), token or "")

    async def read_audit(self, limit: int) -> list[str]:
        """Return the latest audit lines, newest first."""
        return [str(line) for line in await self._client.lrange(self._key("audit"), 0, limit - 1)]

    async def has_audit_line(self, number: int) -> bool:
        """Return whether the audit has at least this many lines, or its key holds foreign data."""
        try:
            return bool(await self._client.lrange(self._key("audit"), number - 1, number - 1))
        except (ResponseError, UnicodeDecodeError) as error:
            if is_unreadable(error):
                return True
            raise

    async def read_audit_page(self, limit: int, before: int) -> list[str]:
        """Return the latest audit lines of revisions before one, newest first."""
        return [str(line) for line in await self._audit_page(keys=self._keys("audit"), args=[limit, before])]

    async def swap(self, transition: Transition, deadline: float) -> bool:
        """Compare and swap a version; return False if another replica was faster.

        Raises TimeoutError after the deadline, by the store's clock.
        """
        tallies = (self._key("tally", fault) for fault in transition.dropped_tallies)
        answer = await self._swap(
            keys=[*self._keys("state", "audit", "lease"), *tallies],
            args=[
                *transition.before.identity,
                *transition.after.identity,
                write_state(transition.after.content.state),
                transition.line,
                MAX_AUDIT_ENTRIES,
                deadline,
                self._channel,
                transition.announcement,
                MAX_AUDIT_BYTES,
                LARGE_ENTRY_BYTES,
            ],
        )
        if answer == "late":
            raise TimeoutError
        return bool(answer == "done")

    async def heal(self, before: Version, after: Version, audit: Sequence[str]) -> bool:
        """Compare and swap a version, and replace the audit; return False if another replica was faster."""
        answer = await self._heal(
            keys=self._keys("state", "audit", "lease"),
            args=[*before.identity, *after.identity, write_state(after.content.state), self._channel, *audit],
        )
        return bool(answer == "done")

    async def reset(self, after: Version, line: str) -> int | None:
        """Overwrite the stored version; return the stored revision instead if it is not lower."""
        answer = await self._reset(
            keys=self._keys("state", "audit", "lease", "unreadable:state", "unreadable:audit"),
            args=[*after.identity, write_state(after.content.state), line, self._channel, _UNREADABLE_TTL_S],
        )
        return None if answer == "done" else int(answer)

    async def restore_audit(self, lines: Sequence[str]) -> None:
        """Insert lines into the audit in the order of their revisions."""
        await self._restore_audit(keys=self._keys("audit"), args=[MAX_AUDIT_ENTRIES, MAX_AUDIT_BYTES, *lines])

    async def renew_lease(self, revision: int) -> None:
        """Write a heartbeat to the lease, with the revision that the replica has applied."""
        await self._renew_lease(keys=self._keys("lease"), args=[revision])

    async def read_lease(self) -> tuple[Lease | None, str]:
        """Return the lease, if any, and the current server's run id; empty if INFO is not permitted."""
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.hmget(self._key("lease"), "revision", "seen", "server")
            pipe.info("server")
            lease, server = await pipe.execute(raise_on_error=False)
        current = server.get("run_id", "") if isinstance(server, dict) else ""
        try:
            return Lease(int(lease[0]), float(lease[1]), lease[2]), current
        except (TypeError, ValueError, IndexError):
            return None, current

    def _keys(self, *names: str) -> list[str]:
        return [self._key(name) for name in names]
