"""What this replica knows of the store: the state, which version of it that is, and the audit so far."""

from typing import Final

from chaosapi.faults.state import State
from chaosapi.store.codec import AUDIT, read
from chaosapi.store.redis.announcement import Announcement
from chaosapi.store.redis.audit_cache import AuditCache
from chaosapi.store.redis.records import Records, Version
from chaosapi.store.redis.recovery import Versioned
from chaosapi.store.snapshot import Snapshot

_REMEMBERED: Final = AUDIT
"""Entries of the audit that each replica keeps, to show them while the store is away and to put them back."""
_REMEMBERED_SIZE: Final = 2**23
"""Characters that they may have together."""
_RECENT: Final = 16
"""Entries among which one that is just being written is found."""


class LocalView:
    """Grows with what is read, announced, or written by this replica."""

    def __init__(self) -> None:
        self.snapshot = Snapshot()
        self.audit = AuditCache(_REMEMBERED, _REMEMBERED_SIZE)
        self._epoch = self._word = ""

    @property
    def state(self) -> State:
        """Return the state."""
        return self.snapshot.state

    @property
    def version(self) -> Version:
        """Return the state, and what tells it from others."""
        return Version(Versioned(self._epoch, self.snapshot.state), self._word)

    def take(self, version: Version, line: str = "") -> None:
        """Take over a version, unless a newer one is known, and the line of the audit that it came with."""
        held = version.held
        if line:
            self.audit.add([line])
        if held.state.revision > self.state.revision or not self._epoch:
            self._epoch = held.epoch
            self.snapshot.take(held.state)
        if held == self.version.held:
            self._word = version.word

    def heard(self, message: object) -> bool:
        """Take over what was announced; False where it is garbage, or does not follow what is known."""
        if not message or not isinstance(message, str):
            return False  # healed, and not told how
        try:
            news = read(Announcement, message)
            made = news.made(self.state) if news.follows == self._word else None
        except (ValueError, IndexError):
            return False
        if made:
            self.take(Version(Versioned(news.epoch, made), news.version), news.line)
        return news.epoch == self._epoch and news.revision <= self.state.revision

    async def recall(self, contents: Records, missed: int) -> None:
        """Remember what was missed of the audit; only that is read, if it tells."""
        new = await contents.lines(min(missed + _RECENT, _REMEMBERED))
        if missed < _REMEMBERED and not any(line in self.audit for line in new):
            new = await contents.lines(_REMEMBERED)
        self.audit.add(new)

    async def give_back(self, contents: Records) -> None:
        """Put back what another replica, which healed the store, did not know: it was acknowledged all the same."""
        lines = await contents.lines(AUDIT)
        if missing := self.audit.missing(lines):
            await contents.put_back(missing)
        self.audit.add(lines)
