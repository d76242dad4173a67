"""What this replica knows of the store: the state, which version of it that is, and the audit so far."""

from typing import Final

from chaosapi.faults.state import State
from chaosapi.store.codec import MAX_AUDIT_ENTRIES, read
from chaosapi.store.redis.announcement import Announcement
from chaosapi.store.redis.audit_cache import AuditCache
from chaosapi.store.redis.records import Records, Version
from chaosapi.store.redis.recovery import EpochState
from chaosapi.store.snapshot import Snapshot

_CACHED_LINES: Final = MAX_AUDIT_ENTRIES
"""Entries of the audit that each replica keeps, to show them while the store is away and to put them back."""
_CACHED_CHARACTERS: Final = 2**23
"""Characters that they may have together."""
_RECENT: Final = 16
"""Entries among which one that is just being written is found."""


class LocalView:
    """Grows with what is read, announced, or written by this replica."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.audit = AuditCache(_CACHED_LINES, _CACHED_CHARACTERS)
        self._epoch = self._token = ""

    @property
    def state(self) -> State:
        """Return the state."""
        return self.snapshot.state

    @property
    def version(self) -> Version:
        """Return the state, and what tells it from others."""
        return Version(EpochState(self._epoch, self.snapshot.state), self._token)

    def update(self, version: Version, line: str = "") -> None:
        """Take over a version, unless a newer one is known, and the line of the audit that it came with."""
        held = version.content
        if line:
            self.audit.add([line])
        if held.state.revision > self.state.revision or not self._epoch:
            self._epoch = held.epoch
            self.snapshot.update(held.state)
        if held == self.version.content:
            self._token = version.token

    def apply_message(self, message: object) -> bool:
        """Take over what was announced; False where it is garbage, or does not follow what is known."""
        if not message or not isinstance(message, str):
            return False  # healed, and not told how
        try:
            news = read(Announcement, message)
            made = news.apply(self.state) if news.follows == self._token else None
        except (ValueError, IndexError):
            return False
        if made:
            self.update(Version(EpochState(news.epoch, made), news.version), news.line)
        return news.epoch == self._epoch and news.revision <= self.state.revision

    async def cache_audit(self, contents: Records, missed: int) -> None:
        """Remember what was missed of the audit; only that is read, if it tells."""
        new = await contents.read_audit(min(missed + _RECENT, _CACHED_LINES))
        if missed < _CACHED_LINES and not any(line in self.audit for line in new):
            new = await contents.read_audit(_CACHED_LINES)
        self.audit.add(new)

    async def restore_audit(self, contents: Records) -> None:
        """Put back what another replica, which healed the store, did not know: it was acknowledged all the same."""
        lines = await contents.read_audit(MAX_AUDIT_ENTRIES)
        if missing := self.audit.missing(lines):
            await contents.restore_audit(missing)
        self.audit.add(lines)
