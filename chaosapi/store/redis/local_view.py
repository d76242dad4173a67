"""A replica's copy of the store: the state, its version, and the latest audit lines."""

from typing import Final

from chaosapi.faults.state import State
from chaosapi.store.codec import MAX_AUDIT_ENTRIES, read
from chaosapi.store.redis.announcement import Announcement
from chaosapi.store.redis.audit_cache import AuditCache
from chaosapi.store.redis.records import Records, Version
from chaosapi.store.redis.recovery import EpochState
from chaosapi.store.snapshot import Snapshot

_CACHED_LINES: Final = MAX_AUDIT_ENTRIES
"""Audit lines that each replica keeps, to show them while the store is away and to restore lost ones."""
_CACHED_BYTES: Final = 2**23
_RECENT: Final = 16
"""Extra audit lines to read, because lines may be written meanwhile."""


class LocalView:
    """Updated with what this replica reads, writes, and receives as announcements."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.audit = AuditCache(_CACHED_LINES, _CACHED_BYTES)
        self._epoch = ""
        self._token = ""

    @property
    def state(self) -> State:
        return self.snapshot.state

    @property
    def version(self) -> Version:
        return Version(EpochState(self._epoch, self.snapshot.state), self._token)

    def update(self, version: Version, line: str = "") -> None:
        """Take over a version, unless a newer one is known, and cache its audit line."""
        content = version.content
        if line:
            self.audit.add([line])
        if content.state.revision > self.state.revision or not self._epoch:
            self._epoch = content.epoch
            self.snapshot.update(content.state)
        if content == self.version.content:
            self._token = version.token

    def apply_message(self, message: object) -> bool:
        """Apply an announcement; return False if it is malformed or does not follow the known version."""
        if not message or not isinstance(message, str):
            return False  # healing publishes an empty message: read the store instead
        try:
            announcement = read(Announcement, message)
            state = announcement.apply(self.state) if announcement.follows == self._token else None
        except (ValueError, IndexError):
            return False
        if state:
            self.update(Version(EpochState(announcement.epoch, state), announcement.version), announcement.line)
        return announcement.epoch == self._epoch and announcement.revision <= self.state.revision

    async def cache_audit(self, records: Records, missed: int) -> None:
        """Cache the audit lines of missed revisions; read all lines if the new ones do not join the cached ones."""
        new = await records.read_audit(min(missed + _RECENT, _CACHED_LINES))
        if missed < _CACHED_LINES and not any(line in self.audit for line in new):
            new = await records.read_audit(_CACHED_LINES)
        self.audit.add(new)

    async def keep_audit(self, records: Records, known: int) -> None:
        """Restore audit lines if the store has fewer than the replica had before; Redis may evict or lose a key alone.

        `known` is how many lines the cache had before the store was read. The cache is smaller than the store's limits.
        """
        if known and not await records.has_audit_line(min(known, MAX_AUDIT_ENTRIES)):
            await self.restore_audit(records)

    async def restore_audit(self, records: Records) -> None:
        """Restore acknowledged audit lines that were unknown to the replica that healed the store."""
        lines = await records.read_audit(MAX_AUDIT_ENTRIES)
        if missing := self.audit.missing(lines):
            await records.restore_audit(missing)
        self.audit.add(lines)
